//! Its state in one object: whoever changes it, the trail tells all and nothing else.

use muster_actors::cutover::record::{self, RecordError, change};
use muster_actors::domain::cutover_state::{CutoverCommand, CutoverState};
use muster_actors::sim::call_loss::{CallLoss, LostPart};
use muster_actors::sim::cas_object::SimCasObject;
use proptest::prelude::*;
use std::collections::BTreeSet;

use super::{DWELL, losing, note, run};

fn wish() -> impl Strategy<Value = CutoverCommand> {
    prop_oneof![
        (prop::sample::select(vec![0u8, 10, 25, 50, 75, 100]), any::<bool>())
            .prop_map(|(to, force)| CutoverCommand::Set { to, force }),
        (0u64..6).prop_map(CutoverCommand::Advance),
        (0u64..6).prop_map(CutoverCommand::Trigger),
        Just(CutoverCommand::RollBack),
    ]
}

/// Each person or watcher makes its wishes one after the other; all at once.
async fn act(cell: &SimCasObject, actors: &[Vec<CutoverCommand>]) -> Vec<(String, Result<CutoverState, RecordError>)> {
    let one = async |actor: usize, wishes: &[CutoverCommand]| {
        let mut ends = Vec::new();
        for (n, wish) in wishes.iter().enumerate() {
            let id = format!("{actor}.{n}");
            ends.push((id.clone(), change(cell, *wish, &note(id, n as u64 * 30_000), DWELL).await));
        }
        ends
    };
    let all = actors.iter().enumerate().map(|(actor, wishes)| one(actor, wishes));
    futures_util::future::join_all(all).await.into_iter().flatten().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn however_many_change_it_and_whichever_answer_is_lost_the_trail_tells_all_that_was_granted_and_nothing_else(
        actors in prop::collection::vec(prop::collection::vec(wish(), 1..6), 2..4),
        nth in 0usize..40,
        answer in any::<bool>(),
    ) {
        run(async {
            let lost = CallLoss::new(nth, if answer { LostPart::Answer } else { LostPart::Call });
            let cell = losing(&SimCasObject::default(), lost);
            let ends = act(&cell, &actors).await;
            let (state, _) = record::read(&losing(&cell, CallLoss::default())).await.unwrap();
            let told: Vec<&str> = state.trail.iter().map(|entry| entry.id.as_str()).collect();
            let once: BTreeSet<&str> = told.iter().copied().collect();
            assert_eq!(once.len(), told.len(), "each once");
            assert_eq!(state.revision, told.len() as u64);
            for (id, end) in &ends {
                match end {
                    Ok(state) => assert!(once.contains(id.as_str()) && state.holds(id), "{id} was granted and is not told"),
                    Err(RecordError::Refused(_)) => assert!(!once.contains(id.as_str()), "{id} was refused and is told"),
                    Err(error) => panic!("{error}"),
                }
            }
            // One follows from the other.
            let mut percent = 0;
            for entry in &state.trail {
                assert_eq!(entry.from, percent, "{entry:?}");
                percent = entry.to;
            }
            assert_eq!(state.percent, percent);
        });
    }
}

#[test]
fn a_change_whose_answer_was_lost_and_on_which_somebody_has_written_since_is_not_made_twice() {
    run(async {
        let cell = SimCasObject::default();
        // Its first call reads, its second writes.
        let slow = losing(&cell, CallLoss::new(1, LostPart::Answer));
        let (set, back) = (CutoverCommand::Set { to: 10, force: false }, CutoverCommand::Set { to: 25, force: true });
        let later = async {
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            change(&cell, back, &note("later".into(), 2), DWELL).await
        };
        let first = note("first".into(), 1);
        let (first, later) = tokio::join!(change(&slow, set, &first, DWELL), later);
        assert!(first.is_ok() && later.is_ok(), "{first:?} {later:?}");
        let (state, _) = record::read(&cell).await.unwrap();
        let told: Vec<_> = state.trail.iter().map(|entry| (entry.id.as_str(), entry.to)).collect();
        assert_eq!(told, [("first", 10), ("later", 25)]);
    });
}

#[test]
fn what_is_no_state_is_left_alone() {
    run(async {
        use muster_actors::ports::cas_object::CasObject;
        for text in
            ["", "{}", "[]", r#"{"revision":1,"percent":101,"since":0,"dead_letters":null,"held":null,"trail":[]}"#]
        {
            let cell = SimCasObject::default();
            cell.swap(None, text.as_bytes().to_vec()).await.unwrap();
            let end = change(&cell, CutoverCommand::RollBack, &note("1".into(), 0), DWELL).await;
            assert!(matches!(end, Err(RecordError::Garbled(_))), "{text}: {end:?}");
            assert_eq!(cell.read().await.unwrap().unwrap().bytes, text.as_bytes());
        }
    });
}
