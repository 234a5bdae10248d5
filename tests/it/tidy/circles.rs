//! Which file imports which, and that no two need each other.
//!
//! In: the files of `src`. Out: files that reach themselves by imports. Holds: a folder's `mod.rs` and the files below it
//! are one room, so what they take from each other is no circle; a path counts wherever it stands, tests aside.
//! Knows nothing of: what is re-exported, which belongs to the file that re-exports it.

use std::collections::{BTreeMap, BTreeSet};

use super::none;
use super::source::{Source, char_at, is_name, name_at, sources};

type Path = Vec<String>;

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let modules: Vec<Path> = sources.iter().map(module_path).collect();
    let known: BTreeMap<&[String], usize> =
        modules.iter().enumerate().map(|(at, path)| (path.as_slice(), at)).collect();
    let imports: Vec<BTreeSet<usize>> = sources
        .iter()
        .zip(&modules)
        .map(|(source, module)| {
            let is_apart = |of: &Path| !of.starts_with(module) && !module.starts_with(of);
            let found = paths_in(source, module);
            let file = |path: &Path| {
                let deepest = (1..=path.len()).rev().find_map(|n| known.get(&path[..n]));
                deepest.copied().filter(|at| is_apart(&modules[*at]))
            };
            found.iter().filter_map(file).collect()
        })
        .collect();
    let edges: usize = imports.iter().map(BTreeSet::len).sum();
    println!("{edges} imports between {} files", sources.len());
    assert!(sources.len() < edges, "imports are found at all");
    let circles = (0..sources.len()).filter(|&at| reaches(&imports, at, at)).map(|at| {
        let ties = imports[at].iter().filter(|&&to| reaches(&imports, to, at));
        let ties: Vec<&str> = ties.map(|&to| sources[to].path.as_str()).collect();
        let cure = "what both need belongs in a file below both";
        sources[at].at(1, &format!("in a circle with {}: {cure}", ties.join(", ")))
    });
    none(&circles.collect::<Vec<_>>());
}

fn reaches(imports: &[BTreeSet<usize>], from: usize, to: usize) -> bool {
    let mut seen = BTreeSet::new();
    let mut open: Vec<usize> = imports[from].iter().copied().collect();
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) {
            open.extend(&imports[at]);
        }
    }
    false
}

/// `src/engine/task/rows.rs` is `engine::task::rows`, and `src/engine/mod.rs` is `engine`.
fn module_path(source: &Source) -> Path {
    let inside = source.path.strip_prefix("src/").unwrap_or(&source.path);
    let mut parts: Path = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Every path of the crate that a file names outside its tests, from the crate's root.
fn paths_in(source: &Source, module: &[String]) -> Vec<Path> {
    let chars: Vec<char> = source.code.chars().collect();
    let mut found = Vec::new();
    for (word, from) in [("crate::", &[][..]), ("super::", &module[..module.len().max(1) - 1])] {
        for (at, _) in source.code.match_indices(word) {
            let at = char_at(&source.code, at);
            let line = chars[..at].iter().filter(|c| **c == '\n').count();
            let begins = at == 0 || !is_name(chars[at - 1]);
            if begins && !source.is_test[line] && !module.is_empty() {
                tree(&chars, at + word.len(), from, &mut found);
            }
        }
    }
    found
}

/// The paths of `a::{b, c::d}` that begins at `at`, below `from`.
fn tree(chars: &[char], at: usize, from: &[String], found: &mut Vec<Path>) {
    if chars.get(at) != Some(&'{') {
        let name = name_at(chars, at);
        let next = at + name.chars().count();
        let path: Path = from.iter().cloned().chain([name]).collect();
        if chars[next..].starts_with(&[':', ':']) {
            tree(chars, next + 2, &path, found);
        } else {
            found.push(path);
        }
        return;
    }
    let (mut depth, mut expected) = (0_usize, false);
    for (at, c) in (at..).zip(&chars[at..]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
        if expected && is_name(*c) {
            tree(chars, at, from, found);
        }
        expected = depth == 1 && (matches!(c, '{' | ',') || expected && c.is_whitespace());
    }
}

#[test]
fn paths_are_read_as_rust_reads_them() {
    let chars: Vec<char> = "a::{b, c::{d, e}, self}".chars().collect();
    let mut found = Vec::new();
    tree(&chars, 0, &["x".to_owned()], &mut found);
    let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["x::a::b", "x::a::c::d", "x::a::c::e", "x::a::self"]);
    let circle =
        [BTreeSet::from([1]), BTreeSet::from([2]), BTreeSet::from([0]), BTreeSet::from([0])];
    assert_eq!(
        (0..4).map(|at| reaches(&circle, at, at)).collect::<Vec<_>>(),
        [true, true, true, false]
    );
}
