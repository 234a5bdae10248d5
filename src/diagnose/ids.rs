//! How two sets of ids differ in their look.
//!
//! In: some ids of each arm. Out: a sentence. Holds: says what all ids of a side have in common and the other side
//! hasn't; nothing where nothing is that clear. Knows nothing of: where they came from.

/// Returns what tells the candidate's ids from the primary's.
pub(super) fn difference(primary: &[&str], candidate: &[&str], name: &str) -> Option<String> {
    let (ours, theirs) = (IdShape::of(primary)?, IdShape::of(candidate)?);
    let quoted = |text: &str| format!("`{}`", text.chars().take(24).collect::<String>());
    let ends = [("begin", &ours.prefix, &theirs.prefix), ("end", &ours.suffix, &theirs.suffix)];
    if let Some((word, ours, theirs)) = ends.into_iter().find(|(_, ours, theirs)| ours != theirs) {
        let (who, common) = if theirs.is_empty() { ("the primary", ours) } else { (name, theirs) };
        return Some(format!("all of {who} {word} with {}", quoted(common)));
    }
    if theirs.dashes != ours.dashes {
        let which = if theirs.dashes { name } else { "the primary" };
        return Some(format!("only those of {which} have dashes"));
    }
    if theirs.case != ours.case {
        return Some("one side writes capitals, the other doesn't".to_owned());
    }
    let length = |look: &IdShape| match look.length {
        (least, most) if least == most => most.to_string(),
        (least, most) => format!("{least} to {most}"),
    };
    (theirs.length != ours.length).then(|| {
        format!(
            "those of the primary have {} characters, those of {name} {}",
            length(&ours),
            length(&theirs)
        )
    })
}

#[derive(PartialEq, Eq)]
struct IdShape {
    prefix: String,
    suffix: String,
    dashes: bool,
    case: Option<bool>,
    length: (usize, usize),
}

impl IdShape {
    fn of(ids: &[&str]) -> Option<Self> {
        let first: Vec<char> = ids.first()?.chars().collect();
        let (mut prefix, mut suffix) = (first.len(), first.len());
        let mut length = (usize::MAX, 0);
        for id in ids {
            let id: Vec<char> = id.chars().collect();
            let alike = |(a, b): (&char, &char)| a == b;
            prefix = prefix.min(first.iter().zip(&id).take_while(|pair| alike(*pair)).count());
            let back = first.iter().rev().zip(id.iter().rev());
            suffix = suffix.min(back.take_while(|pair| alike(*pair)).count());
            length = (length.0.min(id.len()), length.1.max(id.len()));
        }
        // Digits in common next to what differs are chance, not a look.
        let is_digit = |c: char| c.is_ascii_digit();
        let begin: String = first.iter().take(prefix).collect();
        let end: String = first.iter().skip(first.len() - suffix).collect();
        Some(Self {
            prefix: begin.trim_end_matches(is_digit).to_owned(),
            suffix: end.trim_start_matches(is_digit).to_owned(),
            dashes: ids.iter().all(|id| id.contains('-')),
            case: ids
                .iter()
                .any(|id| id.chars().any(char::is_alphabetic))
                .then(|| ids.iter().any(|id| id.chars().any(char::is_uppercase))),
            length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn what_all_have_in_common_is_said() {
        let says = |p: &[&str], c: &[&str]| difference(p, c, "v8");
        assert_eq!(
            says(&["r1", "r20"], &["shadow-7", "shadow-9"]).as_deref(),
            Some("all of v8 begin with `shadow-`")
        );
        assert_eq!(
            says(&["ab1", "cd2"], &["ab1.shadow", "x.shadow"]).as_deref(),
            Some("all of v8 end with `.shadow`")
        );
        assert_eq!(
            says(&["a-b", "c-d"], &["ab", "cd"]).as_deref(),
            Some("only those of the primary have dashes")
        );
        assert_eq!(
            says(&["ab", "cd"], &["AB", "CD"]).as_deref(),
            Some("one side writes capitals, the other doesn't")
        );
        assert_eq!(
            says(&["ab", "cd"], &["abcd", "efgh"]).as_deref(),
            Some("those of the primary have 2 characters, those of v8 4")
        );
        assert_eq!(
            says(&["a1", "b21"], &["a1-v8", "b21-v8"]).as_deref(),
            Some("all of v8 end with `-v8`")
        );
        assert_eq!(says(&["12", "34"], &["56", "78"]), None);
        assert_eq!(says(&[], &["56"]), None);
    }
}
