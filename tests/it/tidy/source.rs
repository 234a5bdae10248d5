//! The files of the repository, as the rules look at them.
//!
//! In: paths. Out: text, code without comments and literals, names with their lines. Holds: what is
//! blanked keeps its place. Knows nothing of: the rules; Rust's grammar beyond braces.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file of `src`.
pub(super) struct Source {
    /// From the repository's root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// The text with comments and literals blanked; the same lines.
    pub(super) code: String,
    /// Per line.
    pub(super) is_test: Vec<bool>,
}

impl Source {
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a source file is readable text");
        let path = path.strip_prefix(root()).expect("it lies in the repository");
        let path = path.to_string_lossy().replace('\\', "/");
        let code = blanked(&text);
        let mut is_test = test_lines(&code);
        if path.ends_with("/tests.rs") || path.contains("/tests/") {
            is_test.fill(true);
        }
        Self { path, text, code, is_test }
    }

    /// The module of the crate's root that this file is or belongs to.
    pub(super) fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    pub(super) fn is_module_root(&self) -> bool {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        !inside.contains('/') || inside.ends_with("mod.rs") && inside.matches('/').count() == 1
    }

    pub(super) fn lines_with_word(&self, word: &str) -> Vec<usize> {
        let has = |line: &str| {
            line.match_indices(word).any(|(at, _)| {
                let after = line.as_bytes().get(at + word.len()).copied().unwrap_or(b' ');
                let before = line.as_bytes().get(at.wrapping_sub(1)).copied().unwrap_or(b' ');
                !is_name(char::from(before)) && !is_name(char::from(after))
            })
        };
        (1..)
            .zip(self.code.lines())
            .filter(|(_, line)| has(line))
            .map(|(number, _)| number)
            .collect()
    }

    pub(super) fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| Source::read(path))
        .collect()
}

/// What git knows or would take in; without git, what isn't hidden or built.
pub(super) fn repository_files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    if let Ok(output) = listed
        && output.status.success()
    {
        return String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    }
    let mut paths = Vec::new();
    for path in entries(root()) {
        let name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.starts_with('.') && !name.starts_with("target") {
            walk(&path, &mut paths);
        }
    }
    let inside =
        |path: &PathBuf| path.strip_prefix(root()).ok().map(|p| p.to_string_lossy().into_owned());
    paths.iter().filter_map(inside).collect()
}

fn walk(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
    }
    for entry in entries(path) {
        walk(&entry, files);
    }
}

/// What lies in a folder, by name; nothing where there is none.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(read) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        read.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    paths
}

/// Each name that follows `prefix`, with its line; all of them where a `{…}` follows, or ends it.
pub(super) fn named_after(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = code.chars().collect();
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let at = char_at(code, at);
        if at > 0 && is_name(chars[at - 1]) {
            continue;
        }
        let next = at + prefix.chars().count() - usize::from(prefix.ends_with('{'));
        let starts =
            if chars.get(next) == Some(&'{') { first_of_each(&chars, next) } else { vec![next] };
        names.extend(
            starts.into_iter().map(|start| (line_of(&chars, start), name_at(&chars, start))),
        );
    }
    names.retain(|(_, name)| !["", "self", "super"].contains(&name.as_str()));
    names
}

/// Where the paths of the group `{a::b, c}` that opens at `open` begin.
fn first_of_each(chars: &[char], open: usize) -> Vec<usize> {
    let mut starts = Vec::new();
    let (mut depth, mut expected) = (0_usize, false);
    for (at, c) in (open..).zip(&chars[open..]) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if expected && is_name(*c) {
            starts.push(at);
        }
        expected = depth == 1 && (matches!(c, '{' | ',') || expected && c.is_whitespace());
    }
    starts
}

/// Which lines stand under `#[cfg(test)]`.
fn test_lines(code: &str) -> Vec<bool> {
    let chars: Vec<char> = code.chars().collect();
    let mut is_test = vec![false; code.lines().count()];
    for (at, marker) in code.match_indices("#[cfg(test)]") {
        let at = char_at(code, at);
        let Some((_, end)) = item(&chars, at + marker.len()) else { continue };
        is_test[line_of(&chars, at) - 1..line_of(&chars, end)].fill(true);
    }
    is_test
}

/// Where the body of the item at `from` opens and where the item ends; both the `;` without a body.
pub(super) fn item(code: &[char], from: usize) -> Option<(usize, usize)> {
    let mut nested = 0_usize;
    let open = (from..code.len()).find(|at| {
        match code[*at] {
            '(' | '[' => nested += 1,
            ')' | ']' => nested = nested.saturating_sub(1),
            _ => {}
        }
        nested == 0 && matches!(code[*at], '{' | ';')
    })?;
    if code[open] == ';' {
        return Some((open, open));
    }
    let mut depth = 0_usize;
    let end = (open..code.len()).find(|at| {
        match code[*at] {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    Some((open, end))
}

fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = after_words(&chars, at).min(chars.len());
        if end == at {
            code.push(chars[at]);
            at += 1;
        }
        while at < end {
            code.push(if chars[at] == '\n' { '\n' } else { ' ' });
            at += 1;
        }
    }
    code
}

/// Where the comment or literal that starts at `at` ends; `at` where none does.
fn after_words(chars: &[char], at: usize) -> usize {
    let find = |from: usize, what: &[char]| {
        (from..chars.len()).find(|i| chars[*i..].starts_with(what)).unwrap_or(chars.len())
    };
    match (chars[at], chars.get(at + 1)) {
        ('/', Some('/')) => find(at, &['\n']),
        ('/', Some('*')) => {
            let (mut end, mut depth) = (at + 2, 1);
            while depth > 0 && end < chars.len() {
                let (close, open) = (find(end, &['*', '/']), find(end, &['/', '*']));
                depth = if open < close { depth + 1 } else { depth - 1 };
                end = close.min(open) + 2;
            }
            end
        }
        ('"', _) => {
            let mut end = at + 1;
            while end < chars.len() && chars[end] != '"' {
                end += if chars[end] == '\\' { 2 } else { 1 };
            }
            end + 1
        }
        ('r', Some('"' | '#')) => {
            let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
            if chars.get(at + 1 + hashes) != Some(&'"') {
                return at;
            }
            let close: Vec<char> =
                std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            find(at + 2 + hashes, &close) + close.len()
        }
        ('\'', Some('\\')) => find(at + 3, &['\'']) + 1,
        ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}

pub(super) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The name that starts at `at`.
pub(super) fn name_at(code: &[char], at: usize) -> String {
    code[at..].iter().take_while(|c| is_name(**c)).collect()
}

pub(super) fn char_at(text: &str, byte: usize) -> usize {
    text.get(..byte).map_or(0, |before| before.chars().count())
}

pub(super) fn line_of(code: &[char], at: usize) -> usize {
    code[..at].iter().filter(|c| **c == '\n').count() + 1
}

pub(super) fn camel_words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for c in name.chars() {
        match words.last_mut() {
            Some(word) if !c.is_uppercase() => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    words
}

#[test]
fn literals_and_comments_are_no_code() {
    let odd = "a('\"'); // b\n\"c\\\"\" d r#\"e\"# 'f' &'g h /* i /* j */ k */ b'\\'' l r#m";
    assert_eq!(blanked(odd).split_whitespace().collect::<String>(), "a();d&'ghblr#m");
    assert_eq!(blanked("/* a\nb */\n").lines().count(), 2);
    let names =
        |code| named_after(code, "crate::").into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(names("use crate::{a::{b, c}, d,};\nuse crate::*; crate::e::f()"), ["a", "d", "e"]);
    let lines = test_lines("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n");
    assert_eq!(lines, [false, true, true, true, true, false]);
}
