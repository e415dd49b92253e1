//! What grows with the number of learners and clients, and what must not.
//!
//! A cluster of the real roles in the simulated world delivers the same values to
//! 1, 2, 10 and 50 learners, and for 1, 10 and 500 clients, and every message is
//! counted once, however many hear it. Multicast makes a value's way independent
//! of how many listen; what they say in return must be, too, but for what each
//! says now and then, and for what only one of them lacks.
//!
//! ```text
//! cargo test --release --test scale -- --nocapture   # prints the tables
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use paxcast::protocol::{AcceptorSet, Membership, Message, Role, Settings, Time};
use paxcast::sim::network::NetworkOptions;
use paxcast::sim::{self, Cluster, ClusterOptions, Plan};

/// Of those that a learner says now and then, how many there may be for each second.
const NOW_AND_THEN: f64 = 2.0;

/// A cluster, its load, and the network under it.
#[derive(Clone, Copy, Debug)]
struct Trial {
    learners: u16,
    clients: u16,
    /// Of all clients together.
    values: u32,
    /// Between one value and the next, whoever submits it.
    every: Duration,
    /// Probability that a receiver misses a datagram.
    loss: f64,
    /// Of the proposals, every such one is lost on its way to all learners.
    lost_by_all: Option<u64>,
}

/// What was sent from the moment at which the first value was submitted until
/// every learner had delivered the last.
#[derive(Debug)]
struct Count {
    trial: Trial,
    seconds: f64,
    /// Proposals, those sent again included.
    proposals: f64,
    submissions: f64,
    acknowledgements: f64,
    reports: f64,
    requests: f64,
    answers: f64,
    stuck: f64,
    /// What clients ask, and what they are told of the log and of their credit.
    greetings: f64,
    all: f64,
    /// Instances whose proposal no learner heard.
    unheard: u64,
}

impl Trial {
    /// Two clients, a value every half millisecond.
    fn learners(learners: u16, loss: f64) -> Trial {
        Trial {
            learners,
            clients: 2,
            values: 2_000,
            every: Duration::from_micros(500),
            loss,
            lost_by_all: None,
        }
    }

    /// Two learners.
    fn clients(clients: u16, loss: f64) -> Trial {
        Trial {
            clients,
            ..Trial::learners(2, loss)
        }
    }

    /// The cluster, with a leader and everybody at peace.
    fn begin(self) -> Cluster {
        let membership = Membership::majority(AcceptorSet::first(3));
        let options = ClusterOptions {
            proposers: 2,
            learners: self.learners,
            clients: self.clients,
            durable: None,
            network: NetworkOptions {
                loss: self.loss,
                ..NetworkOptions::quiet()
            },
            ..ClusterOptions::quiet(Settings::new(membership))
        };
        let mut cluster = Cluster::new(1, options, false);
        // Long enough for a leader, and for everybody to hear of everybody.
        cluster
            .run_up_to(Time::ZERO + Duration::from_secs(4))
            .expect("nothing goes wrong");
        assert!(cluster.leader().is_some(), "no leader");
        if let Some(every) = self.lost_by_all {
            cluster.lose_when(move |passage| match passage.message {
                Message::Accept { instance, .. } => {
                    passage.to.role == Role::Learner && instance.0.is_multiple_of(every)
                }
                _ => false,
            });
        }
        cluster
    }

    /// Hands the clients their values, from now on.
    fn submit(self, cluster: &mut Cluster) {
        let start = cluster.now();
        for number in 0..self.values {
            let client = (number % u32::from(self.clients)) as u16 + 1;
            let value = Bytes::from(format!("value {number:058}"));
            cluster.submit(client, start + self.every * number, value);
        }
    }

    fn run(self) -> Count {
        let mut cluster = self.begin();
        let start = cluster.now();
        self.submit(&mut cluster);
        cluster.count_sent();
        wait(&mut cluster);
        assert_eq!(cluster.checker().log().len(), self.values as usize);
        self.count(&cluster, cluster.now().since(start))
    }

    /// The first learner is there from the beginning, the others start together
    /// when all values are delivered; what they say is counted.
    fn run_late(self) -> Count {
        let first = Trial {
            learners: 1,
            ..self
        };
        let mut cluster = first.begin();
        first.submit(&mut cluster);
        wait(&mut cluster);
        // Until the last watermark is announced.
        let settled = cluster.now() + Duration::from_secs(1);
        cluster.run_up_to(settled).expect("nothing goes wrong");
        cluster.count_sent();
        let start = cluster.now();
        for id in 2..=self.learners {
            cluster.add(Role::Learner, id);
        }
        wait(&mut cluster);
        self.count(&cluster, cluster.now().since(start))
    }

    fn count(self, cluster: &Cluster, time: Duration) -> Count {
        let mut sent: BTreeMap<&str, u32> = BTreeMap::new();
        let mut last = 0;
        for (_, message) in cluster.sent() {
            *sent.entry(message.name()).or_default() += 1;
            if let Message::Accept { instance, .. } = message {
                last = instance.0.max(last);
            }
        }
        let of = |names: &[&str]| -> f64 {
            let counts = names.iter().map(|name| sent.get(name).copied());
            f64::from(counts.map(Option::unwrap_or_default).sum::<u32>())
        };
        Count {
            trial: self,
            seconds: time.as_secs_f64(),
            proposals: of(&["accept"]),
            submissions: of(&["submit"]),
            acknowledgements: of(&["acknowledge"]),
            reports: of(&["following"]),
            requests: of(&["request"]),
            answers: of(&["votes"]),
            stuck: of(&["stuck"]),
            greetings: of(&["inquire", "credit"]),
            all: of(&Message::NAMES),
            unheard: self.lost_by_all.map_or(0, |every| last / every),
        }
    }
}

/// Until every client is done and every learner has everything.
fn wait(cluster: &mut Cluster) {
    let patience = cluster.now() + Duration::from_secs(60);
    while !cluster.is_complete() {
        assert!(cluster.now() < patience, "{}", cluster.diagnose());
        let soon = cluster.now() + Duration::from_millis(10);
        cluster.run(soon, |_| false).expect("nothing goes wrong");
    }
}

impl Count {
    /// A line of the table: for each delivered value so many of each kind.
    fn print(&self) {
        let values = f64::from(self.trial.values);
        println!(
            "{:>4} learners {:>4} clients {:>4.0} % lost{}: acknowledged {:.3} reported {:.3} \
             asked {:.3} answered {:.3} submitted {:.3} proposed {:.3} all {:.2}",
            self.trial.learners,
            self.trial.clients,
            self.trial.loss * 100.0,
            self.trial.lost_by_all.map_or("", |_| ", some by all"),
            self.acknowledgements / values,
            self.reports / values,
            self.requests / values,
            self.answers / values,
            self.submissions / values,
            self.proposals / values,
            self.all / values,
        );
    }

    /// What all learners may say now and then.
    fn now_and_then(&self) -> f64 {
        NOW_AND_THEN * (self.seconds + 1.0) * f64::from(self.trial.learners)
    }

    /// That much is never missing which one repair for all does not give. Each
    /// lost datagram is one question and one answer, and some of those are lost.
    fn check_repairs(&self, lacking: f64) {
        let most = self.now_and_then() + lacking;
        assert!(self.requests <= most, "{most:.0} are enough: {self:#?}");
        assert!(self.answers <= most, "{most:.0} are enough: {self:#?}");
        assert!(self.stuck <= 0.005 * self.proposals, "{self:#?}");
    }
}

fn counts(trials: impl Iterator<Item = Trial>) -> Vec<Count> {
    let counts: Vec<Count> = trials.map(Trial::run).collect();
    counts.iter().for_each(Count::print);
    counts
}

/// What the others say must not grow with the learners.
fn check_answers(counts: &[Count]) {
    let [_, two, ten, fifty] = counts else {
        panic!("1, 2, 10 and 50 learners");
    };
    for more in [ten, fifty] {
        assert!(
            more.acknowledgements <= 1.3 * two.acknowledgements,
            "{two:#?} {more:#?}"
        );
    }
    // Eight of them speak, whether there are ten or fifty.
    let reports = 1.2 * ten.reports + fifty.now_and_then();
    assert!(fifty.reports <= reports, "{ten:#?} {fifty:#?}");
}

#[test]
fn learners_cost_nothing_when_nothing_is_lost() {
    let counts = counts([1, 2, 10, 50].map(|n| Trial::learners(n, 0.0)).into_iter());
    for count in &counts {
        count.check_repairs(0.0);
    }
    check_answers(&counts);
}

#[test]
fn what_one_of_many_learners_lacks_is_repaired_for_all() {
    let counts = counts([1, 2, 10, 50].map(|n| Trial::learners(n, 0.03)).into_iter());
    for count in &counts {
        // A proposal is asked for when any of the learners lacks it: with many of
        // them nearly always, and hardly more than once, by however many.
        let heard_by_all = (1.0 - count.trial.loss).powi(count.trial.learners.into());
        count.check_repairs(1.5 * count.proposals * (1.0 - heard_by_all));
    }
    check_answers(&counts);
}

#[test]
fn what_all_learners_lack_is_asked_for_by_a_few() {
    let trials = [1, 2, 10, 50].map(|learners| Trial {
        lost_by_all: Some(20),
        ..Trial::learners(learners, 0.0)
    });
    for count in counts(trials.into_iter()) {
        assert!(count.unheard > 30, "{count:#?}");
        count.check_repairs(3.0 * count.unheard as f64);
    }
}

#[test]
fn late_learners_ask_for_all_once_each() {
    for loss in [0.0, 0.03] {
        let late = [2, 10, 50].map(|learners| Trial::learners(learners, loss).run_late());
        late.iter().for_each(Count::print);
        let each = |count: &Count| count.requests / f64::from(count.trial.learners - 1);
        for count in &late {
            // An answer has what fits a quarter of a receive buffer.
            assert!(each(count) <= 2.0 * each(&late[0]) + 4.0, "{count:#?}");
            assert!(count.answers <= 2.0 * count.requests, "{count:#?}");
            assert!(
                count.proposals == 0.0,
                "nobody else is troubled: {count:#?}"
            );
        }
    }
}

/// Random faults strike clusters of a handful of learners; here there are more than
/// speak for the others.
#[test]
fn more_learners_than_speak_come_through_faults() {
    for seed in 1..=100 {
        let mut plan = Plan::new(seed);
        plan.cluster.learners = Settings::SPEAKERS as u16 + 4;
        if let Err(violation) = sim::run_plan(seed, &plan, false) {
            panic!("{violation}\nwith {} learners", plan.cluster.learners);
        }
    }
}

#[test]
fn a_value_costs_the_same_whoever_submits_it() {
    for loss in [0.0, 0.03] {
        let counts = counts([1, 10, 500].map(|n| Trial::clients(n, loss)).into_iter());
        let one = &counts[0];
        for many in &counts {
            let values = f64::from(many.trial.values);
            assert!(many.submissions <= 1.1 * values, "{many:#?}");
            assert!(many.proposals <= 1.1 * values, "{many:#?}");
            assert!(many.acknowledgements <= 1.1 * values, "{one:#?} {many:#?}");
            let greetings = f64::from(many.trial.clients) * (1.0 + 20.0 * loss) + 10.0;
            assert!(many.greetings <= greetings * 3.0, "{many:#?}");
        }
    }
}
