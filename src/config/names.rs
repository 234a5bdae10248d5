//! Names that readers of tables keep apart.
//!
//! In: names of pipelines, candidates, dimensions and values. Out: what is wrong with one, and its cure.
//! Holds: a name that passes stays text in the folder names that Parquet readers give a type to, is
//! none that another spelling equals, and fits into a file's name. Knows nothing of: where it stands.

/// What is wrong, and how to mend it.
pub(super) type Wrong = (String, &'static str);

/// Words that readers take for a null, a number, a truth or a date.
const TAKEN: [&str; 9] = ["null", "none", "nan", "na", "inf", "infinity", "true", "false", "epoch"];
/// Values that the engine gives itself.
const OWN: [&str; 3] = ["__other__", "__none__", "__null__"];
/// Fields that an event has a name for.
const EVENT: [&str; 12] = [
    "schema_version",
    "request_id",
    "event_time",
    "arm",
    "assignment",
    "model_name",
    "model_version",
    "prediction",
    "latency_ms",
    "status_code",
    "error_type",
    "segments",
];
/// The longest name.
const NAME_MAX: usize = 64;
/// Bytes of a pipeline's and twice a candidate's name that fit into the name of a staged file: of a
/// file system's 255 bytes the table, day, span, partition, epoch and endings take up to 128.
pub(super) const STAGED_MAX: usize = 127;

/// A name that stands in folders: the pipeline's or a candidate's.
pub(super) fn of_folder(name: &str, what: &str) -> Option<Wrong> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || NAME_MAX < name.len() || !name.chars().all(fits) {
        return Some((format!("a {what}'s name has 1 to 64 of a-z, 0-9, - and _"), "rename it"));
    }
    text_to_readers(name, what)
}

/// A dimension: a key in records, and a column.
pub(super) fn of_dimension(name: &str) -> Option<Wrong> {
    let splits = |c: char| c.is_whitespace() || c.is_control() || c == '=';
    if name.is_empty() || NAME_MAX < name.len() || name.contains(splits) {
        let what = "a dimension's name has 1 to 64 bytes, without spaces and `=`";
        return Some((what.to_owned(), "rename it, in the records, too"));
    }
    text_to_readers(name, "dimension")
}

/// A field of a record that the event has no name for.
pub(super) fn of_field(name: &str) -> Option<Wrong> {
    if name.is_empty() || NAME_MAX < name.len() || name.contains(char::is_control) {
        let said = "a field's name has 1 to 64 bytes, without control characters".to_owned();
        return Some((said, "write it as it stands in the records"));
    }
    EVENT.contains(&name).then(|| {
        let said = format!("`{name}` has a meaning of its own in every event");
        (said, "name a field of yours, such as `batch_id`")
    })
}

fn text_to_readers(name: &str, what: &str) -> Option<Wrong> {
    if !name.starts_with(char::is_alphabetic) {
        let said = format!(
            "a {what}'s name begins with a letter: readers of tables take others for numbers or dates"
        );
        Some((said, "rename it, such as `v01` for `01`"))
    } else if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
        let said = format!(
            "this can't be a {what}'s name: readers of tables take it for a null, a number or a date"
        );
        Some((said, "give it another name"))
    } else {
        None
    }
}

/// Two names that differ by case only.
pub(super) fn alike<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<(&'n str, &'n str)> {
    let mut seen = std::collections::BTreeMap::new();
    names.into_iter().find_map(|name| Some((seen.insert(name.to_lowercase(), name)?, name)))
}

/// A value that is declared although the engine gives it itself.
pub(super) fn own(declared: &[String]) -> Option<Wrong> {
    let name = declared.iter().find(|name| name.is_empty() || OWN.contains(&name.as_str()))?;
    let said = if name.is_empty() {
        "an empty name can't be declared: records without a value stand under `__none__`".to_owned()
    } else {
        format!("`{name}` can't be declared: the engine's own rows stand under that name")
    };
    Some((said, "leave it out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_text_whoever_reads_them() {
        for name in ["v8", "a", "e5", "fraud-2026", "nully", "x_1", "infinite"] {
            assert_eq!(of_folder(name, "candidate"), None, "{name}");
            assert_eq!(of_dimension(name), None, "{name}");
        }
        for name in [
            "1",
            "01",
            "1e5",
            "0x1f",
            "2026-01-01",
            "-1",
            "-",
            "_",
            "__hive_default_partition__",
            "null",
            "true",
            "false",
            "nan",
            "inf",
            "infinity",
            "none",
            "epoch",
            "",
        ] {
            assert!(of_folder(name, "candidate").is_some(), "{name}");
            assert!(of_dimension(name).is_some(), "{name}");
        }
        for name in ["__HIVE_DEFAULT_PARTITION__", "NULL", "NaN", "True", "a b", "a=b", "1.5"] {
            assert!(of_dimension(name).is_some(), "{name}");
        }
        assert_eq!(of_dimension("Country.iso"), None);
        assert_eq!(alike(["country", "tier", "Country"]), Some(("country", "Country")));
        assert_eq!(alike(["country", "tier"]), None);
        for own_name in ["__other__", "__none__", "__null__", ""] {
            assert!(own(&["BR".to_owned(), own_name.to_owned()]).is_some());
        }
        assert_eq!(own(&["BR".to_owned(), "other".to_owned()]), None);
    }

    #[test]
    fn the_longest_names_fit_into_the_name_of_a_staged_file() {
        let (pipeline, candidate) = ("p".repeat(63), "c".repeat(32));
        assert_eq!(STAGED_MAX, pipeline.len() + 2 * candidate.len());
        let (time, partition, epoch) = (7_258_118_400_000_i64, u32::MAX, u32::MAX);
        let longest = |table: &str, rest: &str, owner: String| {
            let day = format!("{table}!pipeline={pipeline}!candidate={candidate}!dt=2199-12-31");
            format!("{day}!{table}-{candidate}-{rest}.parquet.{owner}.inprogress").len()
        };
        let pairs = format!("{partition}-{time}-{time}");
        assert!(longest("pairs", &pairs, format!("t{partition}-{epoch}")) <= 255);
        let decisions = format!("{time}-{}", u64::from(u32::MAX));
        assert!(longest("decisions", &decisions, format!("e-{epoch}")) <= 255);
    }
}
