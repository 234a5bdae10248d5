//! The example of docs/measures.md, counted by the engine and read from its table.

use parallax::adapters::tables::Stage;
use parallax::engine::evaluator::Rows;
use parallax::model::entry::TableFile;
use parallax::runtime::driver::Owner;
use parallax::runtime::driver::Tables as _;
use parallax::runtime::log::Stream;

use crate::world::{World, event, spec};

#[test]
fn the_example_of_the_docs_is_what_the_engine_counts() {
    let mut world = World::new(spec(), 1);
    for n in 0..10 {
        world.record(0, 0, event(&format!("r{n}"), 1.0, "ok", 10.0, "BR").as_bytes());
    }
    for (n, label) in ["ok", "ok", "ok", "ok", "ok", "fraud", "?", "!"].iter().enumerate() {
        world.record(0, 1, event(&format!("r{n}"), 1.0, label, 10.0, "BR").as_bytes());
    }
    world.record(0, 1, event("r99", 1.0, "ok", 10.0, "BR").as_bytes());
    world.finish();
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), &spec()).unwrap();
    let first = world.windows[0].start;
    let (table, name) = ("windows".to_owned(), "windows.parquet".to_owned());
    let file = TableFile { table, comparison: 0, first, name };
    let owner = Owner { stream: Stream::Evaluator, epoch: 3 };
    let heir = Owner { epoch: 7, ..owner };
    assert!(!stage.complete(owner, &file).unwrap(), "nothing is there yet");
    for of in [owner, heir] {
        stage.stage(of, &file, &Rows::Windows(world.windows.clone()), 1).unwrap();
    }
    assert!(stage.complete(owner, &file).unwrap());
    assert!(stage.complete(owner, &file).unwrap(), "done already is done");
    assert_eq!(stage.clear_older(Owner { epoch: 8, ..owner }).unwrap(), 1);
    let path = "windows/pipeline=fraud/candidate=v8/dt=2023-11-14/windows.parquet";
    let row = first_row(&folder.path().join(path));
    let docs = include_str!("../../docs/measures.md");
    for (column, value, said) in [
        ("coverage", 0.8, "8 ÷ 10 = 0.8"),
        ("unmatched", 2.0, "| unmatched | 2 |"),
        ("orphans", 1.0, "| orphans | 1 |"),
        ("candidate_error_rate", 0.111, "1 ÷ 9 = 0.111"),
        ("candidate_null_rate", 0.125, "1 ÷ 8 = 0.125"),
        ("candidate_failed_or_missing_rate", 0.273, "(1 + 2) ÷ (9 + 2) = 0.273"),
        ("match_rate", 0.833, "5 ÷ 6 = 0.833"),
        ("match_rate_low", 0.436, "Wilson 0.436"),
        ("match_rate_high", 0.970, "to 0.970"),
        ("match_rate_if_missing_low", 0.625, "5 ÷ 8 = 0.625"),
        ("match_rate_if_missing_high", 0.875, "7 ÷ 8 = 0.875"),
    ] {
        assert!((row[column] - value).abs() < 0.0005, "{column}: {} isn't {value}", row[column]);
        assert!(docs.contains(said), "the docs don't say {said:?}");
    }
}

/// The numbers of a file's first row, by column.
fn first_row(path: &std::path::Path) -> std::collections::BTreeMap<String, f64> {
    use arrow::array::{Array, Float64Array, Int64Array};
    let file = std::fs::File::open(path).unwrap();
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let mut row = std::collections::BTreeMap::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if let Some(numbers) = column.as_any().downcast_ref::<Float64Array>()
            && numbers.is_valid(0)
        {
            row.insert(field.name().clone(), numbers.value(0));
        } else if let Some(numbers) = column.as_any().downcast_ref::<Int64Array>()
            && numbers.is_valid(0)
        {
            row.insert(field.name().clone(), numbers.value(0) as f64);
        }
    }
    row
}
