//! The names of simulated processes: `p1`, `a2`, and `p1'` for a second process with the id of the first.

use std::fmt;
use std::str::FromStr;

use crate::protocol::Role;

/// A process of the simulated cluster, whatever its incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// What it does.
    pub role: Role,
    /// Its id, from 1.
    pub id: u16,
    /// How many processes had the role and id before it: 0 but for impostors.
    pub twin: u8,
}

impl Name {
    /// The first process of this role and id.
    pub fn new(role: Role, id: u16) -> Name {
        Name { role, id, twin: 0 }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = &self.role.name()[..1];
        write!(f, "{letter}{}", self.id)?;
        (0..self.twin).try_for_each(|_| f.write_str("'"))
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(word: &str) -> Result<Name, String> {
        let wrong = || format!("{word:?} is no process: a letter and a number, as in p1");
        let role = Role::ALL
            .into_iter()
            .find(|role| word.starts_with(&role.name()[..1]))
            .ok_or_else(wrong)?;
        let number = word[1..].trim_end_matches('\'');
        let id: u16 = number.parse().map_err(|_| wrong())?;
        let twin = u8::try_from(word.len() - 1 - number.len()).map_err(|_| wrong())?;
        match id {
            0 => Err(format!("{word:?}: ids begin with 1")),
            _ => Ok(Name { role, id, twin }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for word in ["p1", "a23", "l4'", "c1''"] {
            assert_eq!(word.parse::<Name>().unwrap().to_string(), word);
        }
        for word in ["", "p", "x1", "p0", "p1x", "1", "é1", "p70000"] {
            assert!(word.parse::<Name>().is_err(), "{word}");
        }
    }
}
