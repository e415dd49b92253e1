//! How old somebody's wish to come in is, and whether they have it still.
//!
//! The log heeds no wish that is older than what happened to their session since. Then
//! they may have come in elsewhere, and gone from here without a word; or they are here
//! and wait. So they are asked, with a word that nothing can hold that they said before,
//! and if they answer, the wish is as new as the question.

use crate::protocol::Time;
use crate::service::Place;
use crate::service::chat::Chat;
use crate::service::chat::command::SessionId;
use crate::service::chat::session::Session;

/// A wish to come in.
#[derive(Clone, Debug)]
pub struct Wish {
    /// All through here had happened when it was made, or asked about.
    place: Place,
    /// The log was asked with it.
    spent: bool,
    /// A session that it may be about, and that is being left here.
    left: Option<SessionId>,
    question: Option<Question>,
    questions: u32,
}

/// What somebody has not answered yet.
#[derive(Clone, Debug)]
struct Question {
    word: String,
    /// The last of what they said since, less than the word.
    tail: Vec<u8>,
    at: Time,
    place: Place,
}

impl Wish {
    /// One that is made now, when all through this place has happened.
    pub fn new(place: Place) -> Wish {
        Wish {
            place,
            spent: false,
            left: None,
            question: None,
            questions: 0,
        }
    }

    /// All through here had happened when it was made. The log is asked with it now.
    pub fn spend(&mut self) -> Place {
        self.spent = true;
        self.place
    }

    /// The log was not asked after all.
    pub fn keep(&mut self) {
        self.spent = false;
    }

    /// Whether the log may be asked with it.
    pub fn is_fresh(&self) -> bool {
        !self.spent && self.question.is_none()
    }

    /// A session that it may be about is being left at this gateway: that is no news to
    /// whoever wishes it. So when it is left, and nobody has it, the wish is not older.
    pub fn follow(&mut self, leaving: Option<SessionId>, chat: &Chat) {
        if leaving.is_none()
            && let Some(left) = self.left
            && let Some(since) = chat.session(left).and_then(Session::gone_since)
        {
            self.place = self.place.max(since);
        }
        self.left = leaving;
    }

    /// It is another one from now on, made when all through this place had happened.
    pub fn renew(&mut self, place: Place) {
        (self.place, self.spent, self.question) = (place, false, None);
    }

    /// The word to ask with whether it is still there, unless that was asked. What there
    /// is by this name is asked nowhere else, nor was before.
    pub fn question(&mut self, name: &str, at: Time, place: Place) -> Option<&str> {
        if self.question.is_some() {
            return None;
        }
        self.questions += 1;
        let question = self.question.insert(Question {
            word: format!("still-there-{name}-{}", self.questions),
            tail: Vec::new(),
            at,
            place,
        });
        Some(&question.word)
    }

    /// Since when an answer is waited for.
    pub fn asked(&self) -> Option<Time> {
        self.question.as_ref().map(|question| question.at)
    }

    /// They say this, perhaps the answer or a part of it.
    pub fn hear(&mut self, bytes: &[u8]) {
        let Some(question) = &mut self.question else {
            return;
        };
        let (word, tail) = (question.word.as_bytes(), &mut question.tail);
        let most = word.len() - 1;
        tail.extend_from_slice(&bytes[..bytes.len().min(most)]);
        let said = |said: &[u8]| said.windows(word.len()).any(|window| window == word);
        if said(tail) || said(bytes) {
            self.place = question.place;
            self.spent = false;
            self.question = None;
            return;
        }
        if bytes.len() >= most {
            tail.clear();
            tail.extend_from_slice(&bytes[bytes.len() - most..]);
        }
        tail.drain(..tail.len().saturating_sub(most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_renews_it_however_it_comes() {
        let whole = b"JOIN #x\r\nPONG gateway1 :still-there-7-1\r\nPART #x\r\n";
        for cut in 1..whole.len() {
            for step in [1, 2, 5, whole.len()] {
                let mut wish = Wish::new(Place(4));
                assert_eq!((wish.spend(), wish.is_fresh()), (Place(4), false));
                assert_eq!(
                    wish.question("7", Time(3), Place(9)),
                    Some("still-there-7-1")
                );
                assert_eq!(wish.question("7", Time(5), Place(11)), None, "once");
                assert_eq!(wish.asked(), Some(Time(3)));
                let (first, rest) = whole.split_at(cut);
                wish.hear(first);
                rest.chunks(step).for_each(|part| wish.hear(part));
                assert!(wish.is_fresh(), "cut at {cut}, {step} at a time");
                assert_eq!((wish.asked(), wish.spend()), (None, Place(9)));
            }
        }
    }

    #[test]
    fn nothing_else_does() {
        let mut wish = Wish::new(Place(4));
        wish.hear(b"PONG :still-there-7-1\r\n");
        wish.spend();
        wish.question("7", Time(3), Place(9));
        for said in [
            "PONG :still-there-7-",
            "2\r\nPONG :still-there-7",
            "\r\nQUIT\r\n",
        ] {
            wish.hear(said.as_bytes());
            assert!(!wish.is_fresh(), "{said}");
        }
        // Each question has a word of its own.
        wish.hear(b"still-there-7-1");
        wish.spend();
        assert_eq!(
            wish.question("7", Time(3), Place(9)),
            Some("still-there-7-2")
        );
        wish.hear(b"still-there-7-1\r\n");
        assert!(!wish.is_fresh());
    }

    #[test]
    fn another_one_is_made_anew() {
        let mut wish = Wish::new(Place(4));
        wish.spend();
        wish.question("7", Time(3), Place(9));
        wish.renew(Place(6));
        assert!(wish.is_fresh());
        assert_eq!(wish.spend(), Place(6));
        wish.keep();
        assert!(wish.is_fresh());
    }
}
