//! What an acceptor tells of its votes, page by page, and to whom.

use super::Acceptor;
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{
    Address, Instance, Lookup, Message, Outbox, Payload, ProcessId, Purpose, Role, Span, Vote,
};

impl Acceptor {
    /// A learner lacks something and named this acceptor.
    pub(super) fn handle_request(
        &mut self,
        from: ProcessId,
        spans: Vec<Span>,
        bytes: usize,
        everyone: bool,
        out: &mut Outbox<Self>,
    ) {
        let to = match everyone {
            true => Address::Group(Role::Learner),
            false => Address::Process(from),
        };
        let bytes = bytes.min(Self::MAX_ANSWER);
        let forgotten = self.forgotten();
        if !clipped(&spans, Instance(1), forgotten).is_empty() {
            let through = forgotten;
            out.send(to, Message::Forgotten { through });
        }
        let below = clipped(&spans, forgotten.next(), self.floor.previous());
        if !below.is_empty() {
            out.lookup(Lookup {
                purpose: Purpose::Votes { to },
                spans: below,
                bytes,
            });
            return;
        }
        let mut votes = Vec::new();
        let mut taken = 0;
        'spans: for span in spans {
            for vote in self.votes_in(span) {
                if taken > 0 && taken + vote.value.len() > bytes {
                    break 'spans;
                }
                taken += vote.value.len() + VOTE_FIELDS;
                votes.push(vote);
            }
        }
        self.answer(to, votes, out);
    }

    /// Sends votes in as many datagrams as they need.
    pub(super) fn answer(&self, to: Address, votes: Vec<Vote>, out: &mut Outbox<Self>) {
        let mut rest = votes;
        loop {
            let (page, cut) = first_page(rest.iter().cloned(), self.settings.batch_limit());
            let rest_behind = rest.split_off(page.len());
            // The watermarks that can decide what is in this page, and how far
            // the log has come.
            let mut watermarks = vec![self.watermarks.highest()];
            for vote in [page.first(), page.last()].into_iter().flatten() {
                if let Some(watermark) = self.watermarks.of(vote.ballot)
                    && !watermarks.contains(&watermark)
                {
                    watermarks.push(watermark);
                }
            }
            out.send(
                to,
                Message::Votes {
                    watermarks,
                    votes: page,
                    last: cut.is_none(),
                },
            );
            if cut.is_none() {
                return;
            }
            rest = rest_behind;
        }
    }

    /// The votes in memory for these instances.
    pub(super) fn votes_in(&self, span: Span) -> impl Iterator<Item = Vote> + '_ {
        // A range that ends before it begins would be a panic, not an empty one.
        let through = span.through.max(span.from);
        self.votes
            .range(span.from..=through)
            .filter(move |(instance, _)| **instance <= span.through)
            .map(|(&instance, (ballot, value))| Vote {
                instance,
                ballot: *ballot,
                value: Payload::new(value.clone()),
            })
    }
}

/// What of these spans lies in `from..=through`.
fn clipped(spans: &[Span], from: Instance, through: Instance) -> Vec<Span> {
    spans
        .iter()
        .map(|span| Span {
            from: span.from.max(from),
            through: span.through.min(through),
        })
        .filter(|span| span.from <= span.through)
        .collect()
}

/// The most bytes that a vote's fields take, beside its value.
const VOTE_FIELDS: usize = 38;

/// As many votes as fit a datagram, and, when some did not, the last instance
/// for which the page is complete.
pub(super) fn first_page(
    votes: impl Iterator<Item = Vote>,
    limit: usize,
) -> (Vec<Vote>, Option<Instance>) {
    let mut page = Vec::new();
    let mut taken = 0;
    for vote in votes {
        // The headroom of a datagram has room for the fields of the first vote.
        let size = vote.value.len() + if page.is_empty() { 0 } else { VOTE_FIELDS };
        if !page.is_empty() && taken + size > limit {
            return match mutant(Mutant::PageClaimsTooMuch) {
                true => (page, Some(vote.instance)),
                false => (page, Some(vote.instance.previous())),
            };
        }
        taken += size;
        page.push(vote);
    }
    (page, None)
}
