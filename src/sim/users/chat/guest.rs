//! Somebody's connection to a gateway.

use std::collections::BTreeSet;

use super::post::Welcome;
use crate::service::Place;
use crate::service::chat::command::{Opening, SessionId};
use crate::service::chat::effect::{Audience, Effect};
use crate::service::chat::name::fold;

/// Somebody's connection.
#[derive(Debug)]
pub struct Guest {
    pub person: usize,
    pub opening: Opening,
    /// All that had happened when they wished to come in, or were known to be here still.
    pub wish: Place,
    /// A session that they may take up, and that is being left here.
    pub left: Option<SessionId>,
    pub session: Option<SessionId>,
    pub stage: Stage,
    /// Folded names.
    pub channels: BTreeSet<String>,
}

/// How far it has come.
#[derive(Debug)]
pub enum Stage {
    /// A session is to be asked for.
    Asking,
    /// A session is being opened.
    Opening,
    /// It is open, and what was missed is not shown yet.
    Arriving(Welcome),
    /// Everything is shown.
    Here,
}

impl Guest {
    /// Whether it is this one's, and they have been let in.
    pub fn is_here(&self, session: SessionId) -> bool {
        matches!(self.stage, Stage::Here) && self.session == Some(session)
    }

    /// Whether they are shown an effect. Before they are let in it is among what they
    /// missed.
    pub fn is_concerned(&self, effect: &Effect) -> bool {
        let Some(me) = self.session.filter(|_| matches!(self.stage, Stage::Here)) else {
            return false;
        };
        if let Effect::Quit { who, .. } = effect
            && who.session == me
        {
            return false;
        }
        match effect.audience() {
            Audience::Nobody => false,
            Audience::One(session) => session == me,
            Audience::Two(one, other) => one == me || other == me,
            Audience::Channel(channel) => self.channels.contains(&fold(channel)),
            Audience::Around(session, channels) => {
                let mut shared = channels.iter();
                session == me || shared.any(|name| self.channels.contains(&fold(name)))
            }
        }
    }
}
