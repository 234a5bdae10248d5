//! What a pipeline says of itself: how far recovery has come, and what `parallax status` reads in a log.

use std::collections::BTreeSet;
use std::sync::Arc;

use parallax::engine::{Input, ReadAgain, Task};
use parallax::model::record::Record;

use crate::world::{World, at, event, spec};

/// Both arms answer one request a second.
fn answer(world: &mut World, seconds: std::ops::Range<u32>) {
    for second in seconds {
        let value = event(&format!("r{second}"), f64::from(second), "ok", 10.0, "BR");
        for input in 0..2 {
            world.record(0, input, value.as_bytes());
        }
        world.tick(at(f64::from(second + 1)));
    }
}

#[test]
fn a_new_owner_says_how_far_it_has_come() {
    let mut world = World::new(spec(), 1);
    answer(&mut world, 0..40);
    assert_eq!(world.tasks[0].status().read_again(), ReadAgain::default(), "nobody was before it");
    let entries = world.logs[0].iter().map(|(_, entry)| entry);
    let mut successor = Task::recover(Arc::clone(&world.spec), 0, entries, &BTreeSet::new());
    let from = successor.position(0);
    let horizon = u64::try_from(40 - from).unwrap();
    let again = successor.status().read_again();
    assert_eq!(again, ReadAgain { records: 2 * horizon, left: 2 * horizon }, "from {from} on");
    for offset in from..40 {
        let value = event(&format!("r{offset}"), offset as f64, "ok", 10.0, "BR");
        let value = Some(value.as_bytes());
        let record = Record { offset, timestamp_ms: None, key: None, value };
        for input in 0..2 {
            successor.handle(Input::Records { input, records: &[record], read_at: None });
        }
        let left = 2 * u64::try_from(39 - offset).unwrap();
        assert_eq!(successor.status().read_again(), ReadAgain { left, ..again });
    }
}
