//! Keys with what belongs to them, in the order of their birth, in pages that can be
//! shared: a whole store is frozen by sharing its pages, and whoever changes a row
//! afterwards copies the page first, once.
//!
//! A [`Page`] has room for the keys of [`BIRTHS`] consecutive births; when few of them
//! are left, they move to as much room as they need. A [`Group`] holds [`PAGES`] pages,
//! so that freezing ten million keys shares a few thousand groups. A page that has
//! become empty is gone, and its slot is used again.
//!
//! Births only go up, so rows are only ever added to the newest page, or to one behind
//! it. A row is found without a search by its [`Seat`], which stays the same while the
//! row is there.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::keyspace::Entry;

/// Consecutive births that share a page. A change after a freeze copies at most so
/// many rows; a page's own cost is divided among so many.
const BIRTHS: usize = 32;

/// When no more are left of a page, they move together.
const FEW: usize = 8;

/// Pages in a group. A change after a freeze shares at most so many anew.
const PAGES: usize = 64;

/// Where a row is: its page's slot, and its birth within the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    slot: u32,
    offset: u8,
}

/// A key, with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key, which whoever finds rows by keys has, too.
    pub key: Arc<[u8]>,
    /// What belongs to it.
    pub entry: Entry,
}

/// The rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    groups: Vec<Arc<Group>>,
    /// Slots that have no page.
    free: Vec<u32>,
    /// The slots of the pages by what births they are for.
    order: BTreeMap<u64, u32>,
}

/// Rows as they were at some moment.
#[derive(Clone, Debug)]
pub struct FrozenRows {
    groups: Vec<Arc<Group>>,
}

#[derive(Clone, Debug)]
struct Group {
    pages: [Page; PAGES],
}

/// The keys that are left of some that were born together. A group points to the rows
/// themselves: anything in between would be one more miss of the caches each time that
/// a key is looked up.
#[derive(Clone, Debug)]
enum Page {
    /// None; the slot is free.
    Vacant,
    /// A place for each birth.
    Wide {
        /// How many are there.
        count: u8,
        /// They, by their offsets.
        rows: Arc<[Option<Row>; BIRTHS]>,
    },
    /// Few, one behind the other, the oldest first.
    Narrow {
        /// They.
        rows: Arc<Vec<Row>>,
    },
}

impl Page {
    /// Its rows, oldest first.
    fn rows(&self) -> impl Iterator<Item = &Row> {
        let (wide, narrow): (&[Option<Row>], &[Row]) = match self {
            Page::Vacant => (&[], &[]),
            Page::Wide { rows, .. } => (&rows[..], &[]),
            Page::Narrow { rows } => (&[], rows),
        };
        wide.iter().flatten().chain(narrow)
    }

    /// The row of this birth, if it is there.
    fn find(&self, offset: u8) -> Option<&Row> {
        match self {
            Page::Vacant => None,
            Page::Wide { rows, .. } => rows[usize::from(offset)].as_ref(),
            Page::Narrow { rows } => rows.get(place(rows, offset)?),
        }
    }

    /// The row of this birth, if it is there, to be changed.
    fn find_mut(&mut self, offset: u8) -> Option<&mut Row> {
        match self {
            Page::Vacant => None,
            Page::Wide { rows, .. } => Arc::make_mut(rows)[usize::from(offset)].as_mut(),
            Page::Narrow { rows } => {
                let place = place(rows, offset)?;
                Arc::make_mut(rows).get_mut(place)
            }
        }
    }

    /// Adds a row, younger than all others.
    fn add(&mut self, row: Row) {
        let offset = usize::from(offset_of(row.entry.birth()));
        match self {
            Page::Vacant => {
                let mut rows = [const { None }; BIRTHS];
                rows[offset] = Some(row);
                let rows = Arc::new(rows);
                *self = Page::Wide { count: 1, rows };
            }
            Page::Wide { count, rows } => {
                Arc::make_mut(rows)[offset] = Some(row);
                *count += 1;
            }
            Page::Narrow { rows } => Arc::make_mut(rows).push(row),
        }
    }

    /// Takes the row of this birth out.
    fn take(&mut self, offset: u8) -> Option<Row> {
        let row;
        match self {
            Page::Vacant => return None,
            Page::Wide { count, rows } => {
                let rows = Arc::make_mut(rows);
                row = rows[usize::from(offset)].take()?;
                *count -= 1;
                let left = usize::from(*count);
                if left <= FEW {
                    let mut few = Vec::with_capacity(left);
                    few.extend(rows.iter_mut().filter_map(Option::take));
                    let rows = Arc::new(few);
                    *self = Page::Narrow { rows };
                }
            }
            Page::Narrow { rows } => {
                let place = place(rows, offset)?;
                let rows = Arc::make_mut(rows);
                row = rows.remove(place);
                if rows.len() <= rows.capacity() / 2 {
                    rows.shrink_to_fit();
                }
            }
        }
        if self.rows().next().is_none() {
            *self = Page::Vacant;
        }
        Some(row)
    }
}

/// Where the row of this birth lies among a few.
fn place(rows: &[Row], offset: u8) -> Option<usize> {
    let offset_at = |row: &Row| offset_of(row.entry.birth());
    rows.binary_search_by_key(&offset, offset_at).ok()
}

fn number_of(birth: u64) -> u64 {
    birth / BIRTHS as u64
}

fn offset_of(birth: u64) -> u8 {
    (birth % BIRTHS as u64) as u8
}

impl Rows {
    /// The row in a seat that is taken.
    pub fn at(&self, seat: Seat) -> &Row {
        let row = self.page(seat.slot).find(seat.offset);
        row.expect("a seat that is taken")
    }

    /// The entry in a seat that is taken, to be changed.
    pub fn entry_mut(&mut self, seat: Seat) -> &mut Entry {
        let row = self.page_mut(seat.slot).find_mut(seat.offset);
        &mut row.expect("a seat that is taken").entry
    }

    /// Adds a row, whose birth must be above all others'.
    pub fn add(&mut self, row: Row) -> Seat {
        let birth = row.entry.birth();
        let number = number_of(birth);
        let slot = match self.order.last_key_value() {
            Some((&last, &slot)) if last == number => slot,
            last => {
                assert!(last.is_none_or(|(&last, _)| last < number), "births go up");
                let slot = self.free.pop().unwrap_or_else(|| self.more_slots());
                self.order.insert(number, slot);
                slot
            }
        };
        self.page_mut(slot).add(row);
        let offset = offset_of(birth);
        Seat { slot, offset }
    }

    /// Takes a row out of its seat.
    pub fn take(&mut self, seat: Seat) -> Row {
        let page = self.page_mut(seat.slot);
        let row = page.take(seat.offset).expect("a seat that is taken");
        if let Page::Vacant = page {
            self.order.remove(&number_of(row.entry.birth()));
            self.free.push(seat.slot);
        }
        row
    }

    /// The key that was born then, if it is there.
    pub fn born(&self, birth: u64) -> Option<&Arc<[u8]>> {
        let page = self.page(*self.order.get(&number_of(birth))?);
        page.find(offset_of(birth)).map(|row| &row.key)
    }

    /// Walks over the rows from this birth on until told to stop; says what it was
    /// stopped with.
    pub fn walk<'a, T>(
        &'a self,
        from: u64,
        mut visit: impl FnMut(&'a Row) -> ControlFlow<T>,
    ) -> Option<T> {
        for (_, &slot) in self.order.range(number_of(from)..) {
            for row in self.page(slot).rows() {
                // Older ones of the first page.
                if row.entry.birth() < from {
                    continue;
                }
                if let ControlFlow::Break(with) = visit(row) {
                    return Some(with);
                }
            }
        }
        None
    }

    /// All rows, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        let pages = self.order.values().map(|slot| self.page(*slot));
        pages.flat_map(Page::rows)
    }

    /// The rows as they are now.
    pub fn freeze(&self) -> FrozenRows {
        FrozenRows {
            groups: self.groups.clone(),
        }
    }

    fn page(&self, slot: u32) -> &Page {
        &self.groups[slot as usize / PAGES].pages[slot as usize % PAGES]
    }

    fn page_mut(&mut self, slot: u32) -> &mut Page {
        let group = Arc::make_mut(&mut self.groups[slot as usize / PAGES]);
        &mut group.pages[slot as usize % PAGES]
    }

    /// Makes another group; gives the first of its slots.
    fn more_slots(&mut self) -> u32 {
        let first = u32::try_from(self.groups.len() * PAGES).expect("keys are bounded");
        self.groups.push(Arc::new(Group {
            pages: [const { Page::Vacant }; PAGES],
        }));
        self.free.extend((first + 1..first + PAGES as u32).rev());
        first
    }
}

/// Equal are those with equal rows, whatever slots their pages are in.
impl PartialEq for Rows {
    fn eq(&self, other: &Rows) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Rows {}

impl FrozenRows {
    /// Calls `visit` with every row, oldest first.
    pub fn each(&self, visit: &mut dyn FnMut(&Row)) {
        let pages = self.groups.iter().flat_map(|group| &group.pages);
        let mut ordered: Vec<(u64, &Page)> = pages
            .filter_map(|page| Some((page.rows().next()?.entry.birth(), page)))
            .collect();
        ordered.sort_unstable_by_key(|(first, _)| *first);
        for (_, page) in ordered {
            page.rows().for_each(&mut *visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::service::Place;

    fn row(birth: u64) -> Row {
        let key = birth.to_string();
        Row {
            entry: Entry::new(
                key.as_bytes(),
                b"value",
                Place(birth),
                birth,
                NonZeroU64::new(birth % 3),
            ),
            key: Arc::from(key.as_bytes()),
        }
    }

    fn births(rows: &Rows) -> Vec<u64> {
        rows.iter().map(|row| row.entry.birth()).collect()
    }

    fn frozen_births(rows: &FrozenRows) -> Vec<u64> {
        let mut births = Vec::new();
        rows.each(&mut |row| births.push(row.entry.birth()));
        births
    }

    /// Rows come and go at random, births skip; a map knows what must be there.
    #[test]
    fn rows_stay_what_they_are_while_others_come_and_go() {
        let mut rows = Rows::default();
        let mut known: BTreeMap<u64, Seat> = BTreeMap::new();
        let mut kept: Vec<(FrozenRows, Vec<u64>)> = Vec::new();
        let (mut birth, mut number) = (0, 1u64);
        for step in 0..60_000 {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let chance = number >> 33;
            // More come at first, more go later.
            if chance % 100 < [70, 55, 40][step / 20_000] {
                birth += 1 + chance % 3 / 2 * (chance % 50);
                known.insert(birth, rows.add(row(birth)));
            } else if let Some((&one, &seat)) = known.range(chance % (birth + 1)..).next() {
                assert_eq!(rows.take(seat), row(one));
                assert_eq!(rows.born(one), None);
                known.remove(&one);
            }
            if step % 7_000 == 0 {
                kept.push((rows.freeze(), known.keys().copied().collect()));
            }
        }
        assert!(known.len() > 1_000);
        assert!(births(&rows).iter().eq(known.keys()));
        for (&one, &seat) in &known {
            assert_eq!(
                (rows.at(seat), rows.born(one)),
                (&row(one), Some(&row(one).key))
            );
        }
        for (frozen, expected) in &kept {
            assert_eq!(&frozen_births(frozen), expected);
        }
        let from = birth / 2;
        let mut walked = Vec::new();
        let stopped = rows.walk(from, |row| {
            walked.push(row.entry.birth());
            match walked.len() {
                100 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        assert!(stopped.is_some());
        assert!(
            walked
                .iter()
                .eq(known.range(from..).map(|(one, _)| one).take(100))
        );
        for seat in known.into_values() {
            rows.take(seat);
        }
        assert_eq!((rows.iter().count(), rows.order.len()), (0, 0));
        assert_eq!(rows.free.len(), rows.groups.len() * PAGES);
    }

    #[test]
    fn a_change_leaves_what_is_frozen_as_it_was() {
        let mut rows = Rows::default();
        let seats: Vec<Seat> = (1..200).map(|birth| rows.add(row(birth))).collect();
        let frozen = rows.freeze();
        for seat in &seats {
            rows.entry_mut(*seat).set_value(b"another");
        }
        rows.take(seats[7]);
        frozen.each(&mut |one| assert_eq!(one, &row(one.entry.birth())));
        assert_eq!(frozen_births(&frozen), (1..200).collect::<Vec<_>>());
        assert!(rows.iter().all(|row| row.entry.value() == b"another"));
    }

    /// Of many keys, all but every five hundredth go: what is left takes little.
    #[test]
    fn few_that_are_left_of_many_take_little() {
        let mut rows = Rows::default();
        let seats: Vec<Seat> = (0..100_000).map(|birth| rows.add(row(birth))).collect();
        for (birth, seat) in seats.into_iter().enumerate() {
            if birth % 500 != 0 {
                rows.take(seat);
            }
        }
        let mut left = 0;
        for page in rows.groups.iter().flat_map(|group| &group.pages) {
            match page {
                Page::Vacant => {}
                Page::Wide { .. } => panic!("it holds more than it needs"),
                Page::Narrow { rows } => {
                    left += 1;
                    assert_eq!((rows.len(), rows.capacity()), (1, 1));
                }
            }
        }
        assert_eq!(left, 200);
        assert!(rows.groups.len() <= 100_000 / BIRTHS / PAGES + 1);
        // Slots are used again.
        let groups = rows.groups.len();
        for birth in 100_000..190_000 {
            rows.add(row(birth));
        }
        assert_eq!(rows.groups.len(), groups);
    }
}
