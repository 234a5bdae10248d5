//! A record's own text, where a parsed value doesn't say enough.
//!
//! In: bytes that were read as JSON. Out: the fields of an object with the text of their values, a
//! number with all its digits. Holds: equal numbers have equal text, others never; bytes that are no
//! JSON end the walk, never panic. Knows nothing of: what a field means. Only for rare records: the
//! common ones never come here.

use std::borrow::Cow;

/// The most digits that a number is written out with.
const DIGITS_MAX: i32 = 400;

/// The fields of the object that these bytes hold, with the text of their values.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// Walks the object that `bytes` hold.
pub(super) fn fields(bytes: &[u8]) -> Fields<'_> {
    let rest = trimmed(bytes);
    Fields { rest: rest.strip_prefix(b"{").unwrap_or_default() }
}

/// The text of the value at a field; of one that stands twice, the last.
pub(super) fn field<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields(bytes).filter(|(key, _)| key == name).map(|(_, value)| value).last()
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Cow<'a, str>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = trimmed(self.rest);
        let rest = trimmed(rest.strip_prefix(b",").unwrap_or(rest));
        let (key, rest) = rest.split_at_checked(end_of_text(rest)?)?;
        let rest = trimmed(trimmed(rest).strip_prefix(b":")?);
        let (value, rest) = rest.split_at_checked(end_of_value(rest)?)?;
        self.rest = rest;
        let plain = key.get(1..key.len().saturating_sub(1)).unwrap_or_default();
        let key = match std::str::from_utf8(plain) {
            Ok(text) if !text.contains('\\') => Cow::Borrowed(text),
            _ => Cow::Owned(serde_json::from_slice(key).ok()?),
        };
        Some((key, value))
    }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_start()
}

/// Returns where the text ends that begins here, quotes included.
fn end_of_text(bytes: &[u8]) -> Option<usize> {
    let mut escaped = bytes.first()? != &b'"';
    if escaped {
        return None;
    }
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Returns where the value ends that begins here.
fn end_of_value(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += end_of_text(bytes.get(at..)?)?,
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            b'}' | b']' | b',' if depth == 0 => return Some(at),
            b'}' | b']' => (at, depth) = (at + 1, depth - 1),
            _ if depth == 0 && byte.is_ascii_whitespace() => return Some(at),
            _ => at += 1,
        }
        if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
            return Some(at);
        }
    }
    None
}

/// A JSON number written out with all its digits and no others: `1.50` as `1.5`, `1e3` as `1000`.
pub(super) fn plain_number(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?;
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    let zeros = i32::try_from(digits.len() - significant.len()).ok()?;
    let point = i32::try_from(whole.len()).ok()? - zeros;
    let point = point.checked_add(exponent.parse().ok()?)?;
    let significant = significant.trim_end_matches('0');
    let count = i32::try_from(significant.len()).ok()?;
    if !(-DIGITS_MAX..=DIGITS_MAX).contains(&point) || DIGITS_MAX < count {
        return None;
    }
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let split = significant.split_at_checked(usize::try_from(point).unwrap_or(0));
    Some(match split {
        Some(("", rest)) => format!("{sign}0.{}{rest}", zeros(-point)),
        Some((whole, "")) => format!("{sign}{whole}"),
        Some((whole, rest)) => format!("{sign}{whole}.{rest}"),
        None => format!("{sign}{significant}{}", zeros(point - count)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_value_and_equal_ones_are_written_alike() {
        for (raw, plain) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0e7", "0"),
            ("1.50", "1.5"),
            ("15e-1", "1.5"),
            ("-0.0015E3", "-1.5"),
            ("1e3", "1000"),
            ("1000.00", "1000"),
            ("0.001", "0.001"),
            ("1e-3", "0.001"),
            ("18446744073709551616", "18446744073709551616"),
            ("1.8446744073709551616E19", "18446744073709551616"),
            ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ] {
            assert_eq!(plain_number(raw.as_bytes()).as_deref(), Some(plain), "{raw}");
        }
        for endless in ["1e401", "1e-999", "1e99999999999999999999"] {
            assert_eq!(plain_number(endless.as_bytes()), None, "{endless}");
        }
    }

    #[test]
    fn walks_an_object_whatever_it_holds() {
        let text = r#" {"a" : {"a":[1,"}"]} , "q\"é\u0041":"x\\", "":[], "a":-1.5e3,"z":null }"#;
        let seen: Vec<(String, &str)> = fields(text.as_bytes())
            .map(|(key, value)| (key.into_owned(), std::str::from_utf8(value).unwrap()))
            .collect();
        let own = |key: &str, value| (key.to_owned(), value);
        let expected = [
            own("a", r#"{"a":[1,"}"]}"#),
            own("q\"éA", r#""x\\""#),
            own("", "[]"),
            own("a", "-1.5e3"),
            own("z", "null"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(field(text.as_bytes(), "a"), Some(&b"-1.5e3"[..]));
        for end in 0..text.len() {
            let _ = fields(text.as_bytes().get(..end).unwrap()).count();
        }
        for other in ["[1]", "", "\"x\"", "{\"a\"", "{\"a\":", "{x}", "\u{0}\u{0}"] {
            assert_eq!(fields(other.as_bytes()).count(), 0, "{other}");
        }
    }
}
