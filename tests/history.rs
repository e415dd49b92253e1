//! The checker of histories against one that somebody else wrote, on histories
//! that could have happened and on such that could not.

use paxcast::history::{
    Key, KeyCall, KeyReturn, Model, Operation, Verdict, check, check_keys, draw,
};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

type Done = Operation<KeyCall, KeyReturn>;

/// The model as the other checker wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Spec(<KeyModel as Model>::State);
type KeyModel = Key;

impl SequentialSpec for Spec {
    type Op = KeyCall;
    type Ret = KeyReturn;

    fn invoke(&mut self, op: &KeyCall) -> KeyReturn {
        let (state, told) = Key.happen(&self.0, op);
        self.0 = state;
        told
    }
}

/// The other checker's verdict.
fn other(history: &[Done]) -> bool {
    let mut tester = LinearizabilityTester::new(Spec::default());
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (index, operation) in history.iter().enumerate() {
        events.push((operation.called, false, index));
        if let Some((at, _)) = &operation.returned {
            events.push((*at, true, index));
        }
    }
    events.sort_unstable();
    for (_, is_return, index) in events {
        let Done {
            client,
            call,
            returned,
            ..
        } = &history[index];
        let fine = match (is_return, returned) {
            (true, Some((_, told))) => tester.on_return(*client, told.clone()).is_ok(),
            _ => tester.on_invoke(*client, call.clone()).is_ok(),
        };
        assert!(fine, "a client had two operations under way");
    }
    tester.is_consistent()
}

/// What a history is like.
#[derive(Clone, Copy)]
struct Plan {
    clients: u32,
    /// Operations.
    count: usize,
    /// Of so many one has an outcome that is not known.
    unknown: u32,
    /// Different values.
    values: u32,
}

/// A history that happened: every operation at one moment, told truly. A client
/// whose outcome is not known goes on under another name.
fn happened(rng: &mut Xoshiro256PlusPlus, plan: &Plan) -> Vec<Done> {
    let Plan {
        clients,
        count,
        unknown,
        values,
    } = *plan;
    let mut free: Vec<(u64, u32)> = (0..clients).map(|client| (0, client)).collect();
    let mut next_client = clients;
    // When it happens, and the operation.
    let mut planned: Vec<(u64, Done, u64)> = Vec::new();
    for _ in 0..count {
        let at = rng.random_range(0..free.len());
        let (since, client) = free[at];
        let called = since + rng.random_range(1..10);
        let happens = called + rng.random_range(0..10);
        let returns = happens + rng.random_range(0..10);
        let value = rng.random_range(0..values).to_string();
        let call = match rng.random_range(0..10) {
            0..4 => KeyCall::Get,
            4..7 => KeyCall::Set(value),
            7 => KeyCall::Delete,
            8 => KeyCall::Add(rng.random_range(1..3)),
            _ => match rng.random_range(0..3) {
                0 => KeyCall::SetIfAbsent(value),
                1 => KeyCall::Replace(value, rng.random_range(0..values).to_string()),
                _ => KeyCall::Append(value),
            },
        };
        let unknown = rng.random_range(0..unknown) == 0;
        free[at] = (returns, client);
        if unknown {
            free[at] = (returns, next_client);
            next_client += 1;
        }
        let operation = Operation {
            client,
            call,
            called,
            returned: (!unknown).then_some((returns, KeyReturn::Done)),
        };
        // Half of those without a return never happen.
        let never = unknown && rng.random();
        planned.push((if never { u64::MAX } else { happens }, operation, returns));
    }
    planned.sort_by_key(|(happens, ..)| *happens);
    let mut state = Key.first();
    let mut history: Vec<Done> = Vec::new();
    for (happens, mut operation, returns) in planned {
        if happens < u64::MAX {
            let (next, told) = Key.happen(&state, &operation.call);
            state = next;
            operation.returned = operation.returned.map(|_| (returns, told));
        }
        history.push(operation);
    }
    history.sort_by_key(|operation| operation.called);
    history
}

/// Breaks a history: somebody is told what somebody else was, or what was true
/// at another time, or an effect is lost.
fn break_it(rng: &mut Xoshiro256PlusPlus, history: &mut Vec<Done>) {
    let one = rng.random_range(0..history.len());
    match rng.random_range(0..3) {
        0 => {
            if let Some((_, told)) = &mut history[one].returned {
                *told = match &*told {
                    KeyReturn::Value(None) => KeyReturn::Value(Some("1".to_owned())),
                    KeyReturn::Value(Some(_)) => KeyReturn::Value(None),
                    KeyReturn::Flag(flag) => KeyReturn::Flag(!*flag),
                    KeyReturn::Number(number) => KeyReturn::Number(*number + 1),
                    other => other.clone(),
                };
            }
        }
        1 => {
            let told = |operation: &Done| operation.returned.as_ref().map(|(_, told)| told.clone());
            let alike: Vec<usize> = (0..history.len())
                .filter(|other| history[*other].call == history[one].call)
                .collect();
            let other = alike[rng.random_range(0..alike.len())];
            let (mine, theirs) = (told(&history[one]), told(&history[other]));
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                history[one].returned.as_mut().expect("it returned").1 = theirs;
                history[other].returned.as_mut().expect("it returned").1 = mine;
            }
        }
        _ if history.len() > 1 => {
            history.remove(one);
        }
        _ => {}
    }
}

#[test]
fn it_agrees_with_a_checker_that_somebody_else_wrote() {
    const HISTORIES: u64 = 12_000;
    let (mut good, mut bad) = (0, 0);
    for seed in 0..HISTORIES {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let plan = Plan {
            clients: rng.random_range(1..5),
            count: rng.random_range(1..11),
            unknown: 6,
            values: 4,
        };
        let mut history = happened(&mut rng, &plan);
        let broken = seed % 2 == 1;
        if broken {
            for _ in 0..4 {
                break_it(&mut rng, &mut history);
            }
        }
        let verdict = check(&Key, &history);
        let linearizable = verdict == Verdict::Linearizable;
        assert_eq!(linearizable, other(&history), "seed {seed}: {history:#?}");
        assert!(linearizable || broken, "seed {seed}: it did happen");
        match verdict {
            Verdict::Linearizable => good += 1,
            Verdict::Violated(window) => {
                bad += 1;
                assert!(draw(&history, &window).contains("no order explains this"));
                // Without what came later it fails just the same, and without the
                // culprit's return it does not fail there.
                let culprit = history[window.culprit].clone();
                let (end, _) = culprit.returned.expect("it returned");
                let mut shorter = history.clone();
                shorter.retain(|operation| operation.called <= end);
                assert!(!other(&shorter), "seed {seed}");
                assert!(window.under_way.contains(&window.culprit));
            }
            Verdict::Undecided(_) => panic!("seed {seed}: ten operations were too many"),
        }
    }
    assert!(
        good > HISTORIES / 2 && bad > HISTORIES / 5,
        "{good} good, {bad} bad"
    );
}

#[test]
fn a_long_history_with_many_unknown_outcomes_is_decided() {
    for seed in 0..5 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let plan = Plan {
            clients: 8,
            count: 5_000,
            unknown: 100,
            values: 1_000_000,
        };
        let mut history = happened(&mut rng, &plan);
        let unknown = history.iter().filter(|done| done.returned.is_none());
        assert!(unknown.count() > 30);
        assert_eq!(check(&Key, &history), Verdict::Linearizable, "seed {seed}");
        // A value that nobody ever wrote.
        let read = history
            .iter()
            .take(2_000)
            .rposition(|done| done.call == KeyCall::Get && done.returned.is_some());
        let read = read.expect("there are reads");
        let told = KeyReturn::Value(Some("out of nothing".to_owned()));
        history[read].returned.as_mut().expect("it returned").1 = told;
        match check(&Key, &history) {
            Verdict::Violated(window) => assert_eq!(window.culprit, read),
            verdict => panic!("seed {seed}: {verdict:?}"),
        }
    }
}

/// An operation of a story.
fn done(client: u32, called: u64, returned: u64, call: KeyCall, told: KeyReturn) -> Done {
    Operation {
        client,
        call,
        called,
        returned: Some((returned, told)),
    }
}

fn value(text: &str) -> KeyReturn {
    KeyReturn::Value(Some(text.to_owned()))
}

fn set(text: &str) -> KeyCall {
    KeyCall::Set(text.to_owned())
}

#[test]
fn an_old_value_that_is_told_as_new_is_drawn() {
    let mut history = vec![
        done(1, 0, 10, set("old"), KeyReturn::Done),
        done(1, 20, 60, set("new"), KeyReturn::Done),
        done(2, 30, 40, KeyCall::Get, value("new")),
        done(3, 50, 70, KeyCall::Get, value("old")),
        done(2, 80, 90, KeyCall::Get, value("new")),
    ];
    history.push(Operation {
        client: 4,
        call: KeyCall::Delete,
        called: 25,
        returned: None,
    });
    let Verdict::Violated(window) = check(&Key, &history) else {
        panic!("an old value was told as new");
    };
    assert_eq!(
        draw(&history, &window),
        "\
before the marked return it held \"new\"
client 1  ├──┤                           set old: told done
client 1        ├──────────────┤         set new: told done
client 4           ├──────────────────…  delete: the outcome is not known
client 2              ├──┤               get: told new
client 3                    ├─────┤      get: told old  ◀ no order explains this
"
    );
    // The same at the same time as the write would be in order.
    history[2].returned = Some((40, value("old")));
    assert_eq!(check(&Key, &history), Verdict::Linearizable);
}

#[test]
fn what_is_not_known_may_have_happened_late_or_never_but_once() {
    let unknown = |call| Operation {
        client: 9,
        call,
        called: 5,
        returned: None,
    };
    let read = |at, told| done(1, at, at + 1, KeyCall::Get, told);
    let mut history = vec![
        done(1, 0, 1, set("1"), KeyReturn::Done),
        unknown(KeyCall::Add(1)),
        read(10, value("1")),
        read(20, value("2")),
    ];
    assert_eq!(check(&Key, &history), Verdict::Linearizable);
    history.push(read(30, value("3")));
    assert!(matches!(check(&Key, &history), Verdict::Violated(window) if window.culprit == 4));
    // A second one alike explains it.
    history.push(unknown(KeyCall::Add(1)));
    assert_eq!(check(&Key, &history), Verdict::Linearizable);
    // But nothing is undone.
    history.push(read(40, value("2")));
    assert!(matches!(check(&Key, &history), Verdict::Violated(window) if window.culprit == 6));
}

#[test]
fn keys_are_judged_each_for_itself() {
    let wrong = done(2, 20, 30, KeyCall::Get, KeyReturn::Value(None));
    let history = vec![
        ("a", done(1, 0, 10, set("1"), KeyReturn::Done)),
        ("b", wrong.clone()),
    ];
    assert_eq!(check_keys(&Key, history.clone()), Ok(()));
    let mut history = history;
    history.push(("a", wrong));
    let wrong = check_keys(&Key, history).expect_err("a is wrong");
    assert_eq!((wrong.key, wrong.history.len()), ("a", 2));
    assert!(matches!(wrong.verdict, Verdict::Violated(window) if window.culprit == 1));
}

#[test]
fn thousands_of_lost_increments_do_not_pile_up() {
    let mut history: Vec<Done> = (0..3_000)
        .map(|at| Operation {
            client: 100 + at as u32,
            call: KeyCall::Add(1),
            called: at * 10,
            returned: None,
        })
        .collect();
    for at in (0..3_000).step_by(30) {
        let told = KeyReturn::Number(i64::try_from(at / 30 + 1 + at / 60).expect("small"));
        history.push(done(1, at * 10 + 5, at * 10 + 6, KeyCall::Add(1), told));
    }
    assert_eq!(check(&Key, &history), Verdict::Linearizable);
}
