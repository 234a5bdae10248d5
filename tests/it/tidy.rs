//! The rules of CONTRIBUTING.md that a machine can watch: imports, sizes, heads, words.
//!
//! In: the files of the repository. Out: every place that breaks a rule, with the cure. Holds:
//! comments and literals are blanked before code is looked at. Knows nothing of: Rust's grammar
//! beyond braces, so it asks for code that rustfmt has laid out.

mod circles;
mod source;

use std::fs;

use self::source::{
    Source, camel_words, char_at, entries, is_name, item, line_of, name_at, named_after,
    repository_files, root, sources,
};

/// Who may import whom. Each module may use itself; a new edge is a line here, with a reason.
const IMPORTS: &[(&str, &[&str])] = &[
    // 0: nouns and mathematics
    ("model", &["stats"]),
    ("stats", &[]),
    // 1: the stages, strangers to each other
    ("decode", &["model", "stats"]),
    ("clock", &["model", "stats"]),
    ("join", &["model", "stats"]),
    ("compare", &["model", "stats"]),
    ("tally", &["model", "stats"]),
    ("vitals", &["model", "stats"]),
    ("rules", &["model", "stats"]),
    ("report", &["model", "stats"]),
    ("decide", &["model", "stats"]),
    ("diagnose", &["model", "stats"]),
    // 2: their order; the pipeline file; traffic
    (
        "engine",
        &[
            "model", "stats", "decode", "clock", "join", "compare", "tally", "vitals", "rules",
            "report", "decide", "diagnose",
        ],
    ),
    ("config", &["model", "stats", "rules"]),
    ("generate", &["model", "stats"]),
    // 3: what runs the engine, over ports; 4: what touches the world; 5: one put into the other
    (
        "runtime",
        &[
            "model", "stats", "decode", "clock", "join", "compare", "tally", "vitals", "rules",
            "report", "decide", "diagnose", "engine", "config", "generate",
        ],
    ),
    (
        "adapters",
        &[
            "model", "stats", "decode", "clock", "join", "compare", "tally", "vitals", "rules",
            "report", "decide", "diagnose", "engine", "config", "generate", "runtime",
        ],
    ),
    ("wiring", EVERYTHING),
    ("cli", EVERYTHING),
    ("main", EVERYTHING),
    ("lib", EVERYTHING),
];
const EVERYTHING: &[&str] = &["*"];

/// Words that touch the world, or a clock.
const WORLDLY: [&str; 7] =
    ["tokio", "std::fs", "std::net", "std::thread", "SystemTime", "Instant", "async"];
/// Crates and words that `runtime` leaves to `adapters`.
const OF_ADAPTERS: [&str; 9] = [
    "rdkafka",
    "arrow",
    "parquet",
    "axum",
    "prometheus_client",
    "hyper",
    "tokio",
    "std::fs",
    "std::net",
];
const VAGUE: [&str; 4] = ["Manager", "Helper", "Util", "Utils"];

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const MEDIAN_FILE_LINES_MAX: usize = 170;
const README_LINES_MAX: usize = 120;

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut found = Vec::new();
    for source in sources() {
        let module = source.module();
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
            found.push(
                source.at(1, "its module isn't in the table IMPORTS of tests/it/tidy.rs: add it"),
            );
            continue;
        };
        let mut used = named_after(&source.code, "crate::");
        if source.is_module_root() {
            // One step up from here is the crate's root: another spelling of `crate::`.
            let outside_tests = |(line, _): &(usize, String)| !source.is_test[*line - 1];
            used.extend(named_after(&source.code, "super::").into_iter().filter(outside_tests));
        }
        for (line, name) in used {
            if name != module && *allowed != EVERYTHING && !allowed.contains(&name.as_str()) {
                let cure =
                    "a noun that both need belongs in model, a sum in stats, their order in engine";
                found.push(source.at(line, &format!("`{module}` may not use `{name}`: {cure}")));
            }
        }
    }
    none(&found);
}

#[test]
fn nothing_in_the_core_touches_the_world() {
    let mut found = Vec::new();
    for source in sources() {
        if ["runtime", "adapters", "wiring", "main", "cli"].contains(&source.module()) {
            continue;
        }
        for word in WORLDLY {
            let mut lines = source.lines_with_word(word);
            lines.retain(|line| word != "std::net" || !only_addresses(&source, *line));
            for line in lines {
                let cure = "hand it in as an argument, or do it in src/runtime or src/adapters";
                found.push(source.at(line, &format!("`{word}` in the core: {cure}")));
            }
        }
        for (line, name) in named_after(&source.code, "std::{") {
            if ["fs", "net", "thread"].contains(&name.as_str()) {
                found.push(
                    source.at(line, &format!("`std::{name}` in the core: do it in src/adapters")),
                );
            }
        }
    }
    none(&found);
}

#[test]
fn the_runtime_goes_by_ports() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.module() == "runtime") {
        for word in OF_ADAPTERS {
            for line in source.lines_with_word(word) {
                let cure = "make it a port, and do it in src/adapters";
                found.push(source.at(line, &format!("`{word}` in the runtime: {cure}")));
            }
        }
    }
    none(&found);
}

#[test]
fn files_are_short() {
    let mut found = Vec::new();
    let mut lengths = Vec::new();
    for source in sources() {
        let lines = source.is_test.len();
        if lines > FILE_LINES_MAX {
            let what =
                format!("{lines} lines, {FILE_LINES_MAX} allowed: split it by nouns or verbs");
            found.push(source.at(FILE_LINES_MAX, &what));
        }
        let code = source.is_test.iter().filter(|is_test| !**is_test).count();
        if code > 0 {
            lengths.push(code);
        }
    }
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
    println!("{} files in src, {median} lines at the median without tests", lengths.len());
    none(&found);
    assert!(
        median <= MEDIAN_FILE_LINES_MAX,
        "the median file of src has {median} lines, {MEDIAN_FILE_LINES_MAX} allowed: split the longest"
    );
}

#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    for source in sources() {
        let code: Vec<char> = source.code.chars().collect();
        for (at, _) in source.code.match_indices("fn ") {
            let at = char_at(&source.code, at);
            let starts = at == 0 || !is_name(code[at - 1]);
            let Some((_, end)) = item(&code, at).filter(|(open, end)| starts && end > open) else {
                continue;
            };
            let line = line_of(&code, at);
            let lines = line_of(&code, end) - line + 1;
            if lines > FUNCTION_LINES_MAX && !source.is_test[line - 1] {
                let name = name_at(&code, at + 3);
                let cure = "give a part of it a name worth reading";
                found.push(source.at(
                    line,
                    &format!("`{name}` has {lines} lines, {FUNCTION_LINES_MAX} allowed: {cure}"),
                ));
            }
        }
    }
    none(&found);
}

#[test]
fn every_file_says_what_it_is() {
    let headless = |source: &Source| !source.text.starts_with("//! ");
    let cure =
        "no head: start with //!, what comes in, what goes out, what holds, what it doesn't know";
    none(&sources().iter().filter(|s| headless(s)).map(|s| s.at(1, cure)).collect::<Vec<_>>());
}

#[test]
fn unfinished_work_names_its_issue() {
    let mut found = Vec::new();
    for source in sources() {
        for (line, text) in (1..).zip(source.text.lines()) {
            let numbered =
                text.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if text.contains("TODO") && !numbered {
                found.push(source.at(line, "TODO without an issue: write TODO #12, or do it"));
            }
        }
    }
    none(&found);
}

#[test]
fn paths_and_panics_are_plain() {
    let mut found = Vec::new();
    for source in sources() {
        for (line, code) in (1..).zip(source.code.lines()) {
            if code.contains("super::super") {
                found.push(source.at(line, "super::super: write the path from crate::"));
            }
            if code.contains(".unwrap()") && !source.is_test[line - 1] {
                found.push(source.at(line, ".unwrap(): handle it, or expect(\"the invariant\")"));
            }
        }
    }
    none(&found);
}

#[test]
fn names_say_what_a_thing_is() {
    let mut found = Vec::new();
    for source in sources() {
        let keywords = ["struct ", "enum ", "trait ", "type ", "union "];
        let names = keywords.iter().flat_map(|keyword| named_after(&source.code, keyword));
        for (line, name) in names {
            if camel_words(&name).iter().any(|word| VAGUE.contains(&word.as_str())) {
                let what = format!("`{name}` says nothing: name what it holds or does");
                found.push(source.at(line, &what));
            }
        }
    }
    none(&found);
}

#[test]
fn every_test_file_is_listed() {
    let folder = root().join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).expect("tests/it/main.rs is there");
    let mut found = Vec::new();
    for path in entries(&folder) {
        let stem =
            path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let is_module = path.extension().is_some_and(|e| e == "rs") || path.join("mod.rs").exists();
        if is_module
            && stem != "main"
            && !main.lines().any(|line| line.trim() == format!("mod {stem};"))
        {
            found.push(format!("tests/it/main.rs:1: {stem} isn't run: add `mod {stem};`"));
        }
    }
    none(&found);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let places = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/")];
    let mut found = Vec::new();
    for path in repository_files() {
        // What isn't text has no lines to point at.
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(place) = places.iter().find(|place| starts_a_path(line, place)) {
                let cure = "write it relative to the repository, or take it from the environment";
                found.push(format!("{path}:{number}: a path of one machine, {place}: {cure}"));
            }
        }
    }
    none(&found);
}

#[test]
fn every_pipeline_is_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let mut found = Vec::new();
    for path in entries(&root().join("pipelines")) {
        let name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_pipeline = path.extension().is_some_and(|e| e == "yaml");
        if is_pipeline && !readme.contains(&format!("pipelines/{name}")) {
            found.push(format!("README.md:1: pipelines/{name} isn't named: say what it shows"));
        }
    }
    none(&found);
}

#[test]
fn pages_lead_to_one_another() {
    let mut found = Vec::new();
    let readme = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let lines = readme.lines().count();
    if README_LINES_MAX < lines {
        let cure = "what answers one question belongs on a page of docs/";
        found.push(format!("README.md:1: {lines} lines, {README_LINES_MAX} allowed: {cure}"));
    }
    for path in repository_files().iter().filter(|path| path.ends_with(".md")) {
        if path.starts_with("docs/") && !readme.contains(&format!("]({path})")) {
            found.push(format!("README.md:1: {path} isn't named: say which question it answers"));
        }
        let folder = root().join(path);
        let folder = folder.parent().expect("a file lies in a folder");
        let text = fs::read_to_string(root().join(path)).unwrap_or_default();
        for (number, line) in (1..).zip(text.lines()) {
            let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            let files = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
            for link in files.filter_map(|link| link.split('#').next()) {
                if !folder.join(link).exists() {
                    found.push(format!("{path}:{number}: {link} leads nowhere"));
                }
            }
        }
    }
    none(&found);
}

#[cfg(unix)]
#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut found = Vec::new();
    for path in entries(&root().join("scripts")).into_iter().chain([root().join(".ci/run")]) {
        let Ok(bytes) = fs::read(&path) else { continue };
        let name = path.strip_prefix(root()).unwrap_or(&path).display();
        let runs = fs::metadata(&path).is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
        match (bytes.starts_with(b"#!"), runs) {
            (true, false) => found.push(format!("{name}:1: not executable: chmod +x {name}")),
            (false, true) => {
                found.push(format!("{name}:1: executable without #!: say what runs it"));
            }
            (false, false) if path.extension().is_none() => {
                found.push(format!("{name}:1: a script without #!: add it, and chmod +x"));
            }
            _ => {}
        }
    }
    none(&found);
}

/// An address is a plain value; only what connects or listens touches the world.
fn only_addresses(source: &Source, line: usize) -> bool {
    let names = named_after(&source.code, "std::net::");
    let mut here = names.iter().filter(|(number, _)| *number == line).peekable();
    here.peek().is_some() && here.all(|(_, name)| name.ends_with("Addr"))
}

/// Whether `place` is where a path begins, rather than the middle of one.
fn starts_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line.as_bytes().get(at.wrapping_sub(1)).copied().unwrap_or(b' ');
        !before.is_ascii_alphanumeric() && !b"_-.~}*".contains(&before)
    })
}

fn none(found: &[String]) {
    assert!(found.is_empty(), "{} places:\n{}\n", found.len(), found.join("\n"));
}

/// What stands in brackets beside a sentence is the test, or the numeric case, that fails when it stops being true.
#[test]
fn docs_name_tests_that_exist() {
    let is_read = |path: &&String| path.ends_with(".rs") || path.starts_with("tests/data/stat-");
    let known: String = repository_files()
        .iter()
        .filter(is_read)
        .filter_map(|path| fs::read_to_string(root().join(path)).ok())
        .collect();
    for page in ["docs/statistics.md", "docs/measures.md"] {
        let text = fs::read_to_string(root().join(page)).expect("a page of the docs");
        let in_brackets = |text: &&str| text.starts_with("(`") || text.starts_with("(case `");
        let brackets = text.match_indices('(').filter_map(|(at, _)| text.get(at..));
        let brackets = brackets.filter(in_brackets).filter_map(|text| text.split(')').next());
        for name in brackets.flat_map(|text| text.split('`').skip(1).step_by(2)) {
            let plain = name.chars().all(|c| c == '_' || c.is_ascii_lowercase());
            let is_name = plain && 4 < name.split('_').count();
            let test = known.contains(&format!("fn {name}()"));
            let found = test || known.contains(&format!("\"name\": \"{name}\""));
            assert!(!is_name || found, "{page} names `{name}`, which is no test");
        }
    }
}
