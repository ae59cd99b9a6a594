//! The embedded store against a list that does the same, step by step, whatever the steps are.

use proptest::prelude::*;
use understudy::queue::embedded::Embedded;
use understudy::queue::{Claim, Ending, Filter, Id, State, Store};

use super::embedded::settings;
use super::suite::{ROUTE, append, at, claim, retry, text};

#[derive(Clone, Debug)]
enum Step {
    Append { key: u8 },
    Claim,
    Deliver { which: usize },
    PutOff { which: usize, by: u64 },
    MakeDead { which: usize },
    GiveBack { which: usize },
    Retry { which: usize },
    Drop { which: usize },
    Wait { seconds: u64 },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = || any::<usize>();
    let step = prop_oneof![
        6 => (0..4_u8).prop_map(|key| Step::Append { key }),
        6 => Just(Step::Claim),
        3 => which().prop_map(|which| Step::Deliver { which }),
        3 => (which(), 0..20_u64).prop_map(|(which, by)| Step::PutOff { which, by }),
        1 => which().prop_map(|which| Step::MakeDead { which }),
        1 => which().prop_map(|which| Step::GiveBack { which }),
        1 => which().prop_map(|which| Step::Retry { which }),
        1 => which().prop_map(|which| Step::Drop { which }),
        2 => (0..10_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..60)
}

/// A callback as the model has it.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    id: Id,
    key: String,
    text: String,
    due: u64,
    attempts: u32,
    is_dead: bool,
    is_claimed: bool,
}

struct Model {
    store: Option<Embedded>,
    folder: tempfile::TempDir,
    /// In the order of their ids.
    stored: Vec<Stored>,
    claims: Vec<Claim>,
    now: u64,
    count: u32,
}

impl Model {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: Some(Embedded::open(&settings(folder.path())).unwrap()),
            folder,
            stored: Vec::new(),
            claims: Vec::new(),
            now: 1,
            count: 0,
        }
    }

    fn store(&self) -> &Embedded {
        self.store.as_ref().unwrap()
    }

    fn at(&self, id: Id) -> usize {
        self.stored.iter().position(|one| one.id == id).unwrap()
    }

    /// What should be claimed next.
    fn expected(&self) -> Option<Id> {
        let is_oldest = |at: usize| {
            let before = self.stored[..at].iter();
            !{ before }.any(|one| !one.is_dead && one.key == self.stored[at].key)
        };
        (0..self.stored.len())
            .filter(|at| is_oldest(*at))
            .map(|at| &self.stored[at])
            .filter(|one| !one.is_dead && !one.is_claimed && one.due <= self.now)
            .min_by_key(|one| (one.due, one.id))
            .map(|one| one.id)
    }

    fn take_claim(&mut self, which: usize) -> Option<Claim> {
        let count = self.claims.len();
        (count > 0).then(|| self.claims.remove(which % count))
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Append { key } => {
                let (key, text) = (format!("CA{key}"), self.count.to_string());
                self.count += 1;
                let id = append(self.store(), &key, &text).await;
                self.stored.push(Stored {
                    id,
                    key,
                    text,
                    due: 0,
                    attempts: 0,
                    is_dead: false,
                    is_claimed: false,
                });
            }
            Step::Claim => {
                let claimed = claim(self.store(), self.now).await;
                let id = claimed.as_ref().map(|claim| claim.id);
                assert_eq!(id, self.expected());
                if let Some(claim) = claimed {
                    let at = self.at(claim.id);
                    assert_eq!(text(&claim), self.stored[at].text);
                    assert_eq!(claim.attempts, self.stored[at].attempts);
                    self.stored[at].is_claimed = true;
                    self.claims.push(claim);
                }
            }
            Step::Deliver { which } => {
                if let Some(claim) = self.take_claim(which) {
                    let at = self.at(claim.id);
                    self.stored.remove(at);
                    let finished = self.store().finish(claim, Ending::Delivered);
                    finished.await.unwrap();
                }
            }
            Step::PutOff { which, by } => {
                if let Some(claim) = self.take_claim(which) {
                    let (at, due) = (self.at(claim.id), self.now + by);
                    let one = &mut self.stored[at];
                    (one.due, one.is_claimed) = (due, false);
                    one.attempts += 1;
                    self.store().finish(claim, retry(due)).await.unwrap();
                }
            }
            Step::MakeDead { which } => {
                if let Some(claim) = self.take_claim(which) {
                    let at = self.at(claim.id);
                    let one = &mut self.stored[at];
                    (one.is_dead, one.is_claimed) = (true, false);
                    one.attempts += 1;
                    let dead = Ending::Dead {
                        at: super::suite::at(self.now),
                        error: "status 404".to_owned(),
                    };
                    self.store().finish(claim, dead).await.unwrap();
                }
            }
            Step::GiveBack { which } => {
                if let Some(claim) = self.take_claim(which) {
                    let at = self.at(claim.id);
                    self.stored[at].is_claimed = false;
                }
            }
            Step::Retry { which } => self.retry(which).await,
            Step::Drop { which } => {
                if !self.stored.is_empty() {
                    let at = which % self.stored.len();
                    let (id, is_claimed) = (self.stored[at].id, self.stored[at].is_claimed);
                    let dropped = self.store().remove(&[id]).await.unwrap();
                    assert_eq!(dropped, usize::from(!is_claimed));
                    if !is_claimed {
                        self.stored.remove(at);
                    }
                }
            }
            Step::Wait { seconds } => self.now += seconds,
            Step::Reopen => {
                self.store().close().await;
                self.claims.clear();
                self.store = None;
                self.store = Some(Embedded::open(&settings(self.folder.path())).unwrap());
                for one in &mut self.stored {
                    one.is_claimed = false;
                }
            }
        }
    }

    async fn retry(&mut self, which: usize) {
        if self.stored.is_empty() {
            return;
        }
        let which = which % self.stored.len();
        let id = self.stored[which].id;
        let retried = self.store().retry(&[id], at(self.now)).await.unwrap();
        assert_eq!(retried, 1);
        if self.stored[which].is_dead {
            let mut one = self.stored.remove(which);
            let listed = self.store().list(Filter::default(), None, 1000).await;
            one.id = listed.unwrap().last().unwrap().id;
            (one.is_dead, one.attempts, one.due) = (false, 0, self.now);
            self.stored.push(one);
        } else {
            self.stored[which].due = self.stored[which].due.min(self.now);
        }
    }

    /// The store has what the model has.
    async fn check(&self) {
        let listed = self.store().list(Filter::default(), None, 1000).await;
        let listed = listed.unwrap();
        let seen = listed.iter().map(|entry| {
            let state = entry.state;
            let (dead, claimed) = (state == State::Dead, state == State::Claimed);
            (entry.id, &*entry.key, entry.attempts, dead, claimed)
        });
        let expected = self.stored.iter();
        let expected =
            expected.map(|one| (one.id, &*one.key, one.attempts, one.is_dead, one.is_claimed));
        assert!(seen.eq(expected.clone()), "{listed:?}\n{:?}", self.stored);
        for key in 0..4 {
            let key = format!("CA{key}");
            let is_waiting = self.store().is_waiting(ROUTE, &key).await.unwrap();
            let expected = self.stored.iter().any(|one| !one.is_dead && one.key == key);
            assert_eq!(is_waiting, expected, "{key}");
        }
        let summary = self.store().summary();
        let route = summary.routes.get(ROUTE).cloned().unwrap_or_default();
        let dead = self.stored.iter().filter(|one| one.is_dead).count();
        assert_eq!(route.dead as usize, dead);
        assert_eq!(route.waiting as usize, self.stored.len() - dead);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_does_what_a_list_would(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new();
            for step in steps {
                model.take(step).await;
                model.check().await;
            }
        });
    }
}
