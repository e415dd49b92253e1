//! What the front end tells about itself and its connections.

use super::Front;
use crate::gateway::kv::about::{self, Counts};
use crate::gateway::kv::backend::BackEnd;
use crate::gateway::kv::client;
use crate::gateway::kv::connection::Connection;
use crate::gateway::kv::session::Question;
use crate::gateway::resp::Writer;
use crate::protocol::Time;

impl Front {
    /// What was counted so far, as a line for people.
    pub fn report(&self) -> String {
        let Counts {
            clients,
            connections,
            rejected,
            cut_off,
            commands,
            received,
            sent,
            buffers,
            ..
        } = self.counts;
        format!(
            "statistics role=kv clients={clients} connections={connections} rejected={rejected} \
             cut_off={cut_off} commands={commands} received_bytes={received} sent_bytes={sent} \
             buffer_bytes={buffers}"
        )
    }

    /// Answers what a session does not know.
    pub(super) fn tell(
        &mut self,
        now: Time,
        question: &Question,
        muted: bool,
        connection: &mut Connection,
        back: &impl BackEnd,
    ) {
        let describe = |connection: &Connection| {
            client::line(
                &connection.session,
                now.since(connection.since).as_secs(),
                now.since(connection.heard).as_secs(),
                connection.intake.held(),
                connection.pending(),
            )
        };
        let text = match question {
            Question::Clients => {
                let others = self
                    .slots
                    .iter()
                    .filter_map(|slot| slot.connection.as_ref());
                let others: String = others.map(|other| describe(other)).collect();
                others + &describe(connection)
            }
            Question::Client => describe(connection),
            Question::Info(sections) => about::info(sections, &self.counts, &back.facts()),
            Question::Log => about::info(&["paxos".to_owned()], &self.counts, &back.facts()),
            Question::Hash => {
                let facts = back.facts();
                format!("{:016x}@{}", facts.digest, facts.place)
            }
            Question::Instance => {
                let place = back.facts().place as i64;
                return connection.reply(muted, |session, out| {
                    Writer::new(out, session.version).integer(place);
                });
            }
            Question::ResetStatistics => {
                self.counts = Counts {
                    clients: self.counts.clients,
                    most_clients: self.counts.most_clients,
                    buffers: self.counts.buffers,
                    connections: self.counts.connections,
                    uptime: self.counts.uptime,
                    port: self.counts.port,
                    ..Counts::default()
                };
                return connection.reply(muted, |session, out| {
                    Writer::new(out, session.version).ok();
                });
            }
        };
        connection.reply(muted, |session, out| {
            Writer::new(out, session.version).verbatim(&text);
        });
    }
}
