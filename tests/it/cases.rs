//! Small inputs on which a comparison of two models is easily told wrong: what `replay` says of each.
//!
//! Every test stands for a kind that real topics bring. The inputs are made here, so that one sees what is wrong with
//! them; the snapshot is the exit code and all that people read.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

/// 2026-01-01T12:00:00Z.
const NOON_MS: i64 = 1_767_268_800_000;

const HEAD: &str = "pipeline: t\nprimary: {topic: t.primary}\ncandidates: {v8: {topic: t.v8}}\n";
const RULES: &str =
    "rollback_when: [error_rate > 5%, null_rate > 5%]\ninvestigate_when: [match_rate < 95%]\n";
const ALONE: [&str; 2] = ["primary=primary.jsonl", "v8=v8.jsonl"];

/// Traffic of one arm: so many requests, so many a second, as `with` changes them.
fn traffic(requests: i64, per_second: i64, with: impl Fn(i64, &mut Value)) -> String {
    let line = |n: i64| {
        let mut event = json!({
            "request_id": format!("q{n}"), "event_time": NOON_MS + n * 1000 / per_second,
            "prediction": { "label": "ok" }, "latency_ms": 12.5, "status_code": 200,
        });
        with(n, &mut event);
        format!("{event}\n")
    };
    (0..requests).map(line).collect()
}

/// Half a minute in which nothing is wrong.
fn healthy() -> String {
    traffic(300, 10, |_, _| {})
}

/// Half a minute as `with` changes it.
fn half_a_minute(with: impl Fn(i64, &mut Value)) -> String {
    traffic(300, 10, with)
}

fn fail(event: &mut Value) {
    event["status_code"] = json!(503);
    event["prediction"] = Value::Null;
}

/// A number below 100 that looks random, the same whenever it is asked for.
fn dice(of: i64, arm: i64) -> i64 {
    let mixed = ((of * 2 + arm) as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33) as i64 % 100
}

/// A folder with a pipeline and its inputs.
struct Case(TempDir);

impl Case {
    fn new(pipeline: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        for (name, text) in [("p.yaml", pipeline)].iter().chain(files) {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    /// Of both arms, each in a file.
    fn of(rest: &str, primary: &str, candidate: &str) -> Self {
        let files = [("primary.jsonl", primary), ("v8.jsonl", candidate)];
        Self::new(&format!("{HEAD}{rest}"), &files)
    }

    /// What a replay says: its exit code, stdout, stderr.
    fn replay(&self, sources: &[&str], more: &[&str]) -> String {
        let sources = sources.iter().flat_map(|source| ["--source", source]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
        command.args(["replay", "--pipeline", "p.yaml", "--out", "out"]).args(sources).args(more);
        let done = command.current_dir(self.0.path()).env("NO_COLOR", "1").output().unwrap();
        let [out, err] = [done.stdout, done.stderr].map(|said| String::from_utf8(said).unwrap());
        let err = if err.is_empty() { err } else { format!("-- stderr\n{err}") };
        format!("exit {}\n{out}{err}", done.status.code().unwrap())
    }

    fn said(&self) -> String {
        self.replay(&ALONE, &[])
    }

    /// The rows of a JSON Lines file that it wrote.
    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.0.path().join("out").join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Files below a folder that it wrote, by folder.
    fn folders(&self, below: &str) -> Vec<String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.0.path().join("out").join(below)];
        while let Some(next) = folders.pop() {
            for path in std::fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.parent().and_then(Path::file_name).unwrap();
                    found.insert(name.to_string_lossy().into_owned(), ());
                }
            }
        }
        found.into_keys().collect()
    }
}

#[test]
fn traffic_that_is_shorter_than_the_clock_needs_is_decided_in_its_own_time() {
    let failing = half_a_minute(|n, event| {
        if n % 2 == 1 {
            fail(event);
        }
    });
    let case = Case::of(RULES, &healthy(), &failing);
    insta::assert_snapshot!(case.said());
    let signals = case.lines("signals.jsonl");
    let times: Vec<&str> = signals.iter().map(|signal| signal["time"].as_str().unwrap()).collect();
    assert!(times.iter().all(|time| time.starts_with("2026-01-01T12:00:")), "{times:?}");
    assert_eq!(case.folders("decisions"), ["dt=2026-01-01"], "no row of another day");
}

#[test]
fn an_error_that_is_an_object_or_a_number_is_a_failure() {
    let failing = half_a_minute(|n, event| match n % 4 {
        1 => event["error_type"] = json!({ "code": 14, "message": "upstream" }),
        3 => event["error_type"] = json!(14),
        _ => {}
    });
    insta::assert_snapshot!(Case::of(RULES, &healthy(), &failing).said());
}

#[test]
fn two_files_for_one_partition_are_refused() {
    let text = healthy();
    let files = ["primary-0.jsonl", "primary-0.jsonl.gz", "v8-0.jsonl"];
    let files = files.map(|name| format!("data/{name}"));
    let files = files.each_ref().map(|name| (name.as_str(), text.as_str()));
    let case = Case::new(&format!("{HEAD}{RULES}"), &files);
    insta::assert_snapshot!(case.replay(&["primary=data", "v8=data"], &[]));
}

#[test]
fn where_nothing_is_comparable_the_verdict_is_blind() {
    let number =
        |value: f64| half_a_minute(move |_, e| e["prediction"] = json!({ "value": value }));
    insta::assert_snapshot!(Case::of(RULES, &number(1.0), &number(100.0)).said());
}

#[test]
fn ids_of_the_mirrors_own_are_no_missing_answers() {
    let mirrored = half_a_minute(|n, event| event["request_id"] = json!(format!("copy-{n}")));
    insta::assert_snapshot!(Case::of(RULES, &healthy(), &mirrored).said());
}

#[test]
fn files_that_were_rotated_at_other_requests_are_no_missing_answers() {
    let text = healthy();
    let cut = |at: usize| -> [String; 2] {
        let part = |lines: Vec<&str>| lines.iter().map(|line| format!("{line}\n")).collect();
        [part(text.lines().take(at).collect()), part(text.lines().skip(at).collect())]
    };
    let (primary, candidate) = (cut(150), cut(100));
    let files = [
        ("data/primary-12.jsonl", primary[0].as_str()),
        ("data/primary-13.jsonl", &primary[1]),
        ("data/v8-12.jsonl", &candidate[0]),
        ("data/v8-13.jsonl", &candidate[1]),
    ];
    let sources = ["primary=data", "v8=data"];
    let case = Case::new(&format!("{HEAD}{RULES}"), &files);
    insta::assert_snapshot!(case.replay(&sources, &[]));
    let routed = Case::new(&format!("{HEAD}{RULES}co_partitioned: false\n"), &files);
    let said = routed.replay(&sources, &[]);
    assert!(said.starts_with("exit 0\nHOLD") && said.contains("in 300 pairs"), "{said}");
}

#[test]
fn a_candidate_that_stamps_later_than_skew_isnt_silent() {
    let late = half_a_minute(|n, event| event["event_time"] = json!(NOON_MS + n * 100 + 6000));
    insta::assert_snapshot!(Case::of(RULES, &healthy(), &late).said());
}

#[test]
fn names_that_readers_of_tables_take_for_one_are_refused() {
    let pipeline =
        "pipeline: t\nprimary: {topic: a}\ncandidates:\n  '1': {topic: b}\n  '01': {topic: c}\n";
    let text = healthy();
    let case = Case::new(pipeline, &[("x", &text)]);
    insta::assert_snapshot!(case.replay(&["primary=x", "1=x", "01=x"], &[]));
}

#[test]
fn a_value_that_is_null_or_nan_isnt_replaced_by_the_score() {
    let null = half_a_minute(|_, e| e["prediction"] = json!({ "value": null, "score": 0.9 }));
    // As Python's json writes it.
    let nan = null.replace("null", "NaN");
    let rest = format!("{RULES}compare: {{number: {{absolute: 0.01}}}}\n");
    insta::assert_snapshot!(Case::of(&rest, &null, &nan).said());
    let one = half_a_minute(|_, e| e["prediction"] = json!({ "value": 0.9, "score": 0.9 }));
    let said = Case::of(&rest, &one, &nan).said();
    assert!(said.contains("ROLLBACK  t / v8: null_rate > 5%"), "the candidate's alone: {said}");
}

#[test]
fn an_override_that_one_arm_tells_is_set_aside_in_both() {
    let forced = half_a_minute(|n, event| {
        if n % 5 == 0 {
            event["assignment"] = json!("override");
        }
    });
    let rest = format!("{RULES}investigate_when: [missing_rate > 1%]\n");
    let rest = rest.replacen("investigate_when: [match_rate < 95%]\n", "", 1);
    insta::assert_snapshot!(Case::of(&rest, &healthy(), &forced).said());
    let failing = half_a_minute(|n, event| {
        if n % 5 == 0 {
            fail(event);
        }
    });
    let said = Case::of(&rest, &forced, &failing).said();
    assert!(said.starts_with("exit 0\nHOLD"), "what the primary forced isn't evidence: {said}");
}

#[test]
fn a_replay_doesnt_mix_with_an_earlier_one() {
    let bad = half_a_minute(|n, event| {
        if n % 2 == 1 {
            fail(event);
        }
    });
    let case = Case::of(RULES, &healthy(), &bad);
    assert!(case.said().contains("ROLLBACK"));
    std::fs::write(case.0.path().join("v8.jsonl"), healthy()).unwrap();
    insta::assert_snapshot!(case.said());
    let again = case.replay(&ALONE, &["--overwrite"]);
    assert!(again.starts_with("exit 0\nHOLD") && !again.contains("ROLLBACK"), "{again}");
    assert!(!case.0.path().join("out/signals.jsonl").exists(), "what the first one said is gone");
}

#[test]
fn records_that_cant_be_read_are_told_as_that_and_roll_nobody_back() {
    // A registry's integer is read.
    let numbered = half_a_minute(|_, event| event["model_version"] = json!(8));
    let said = Case::of(RULES, &healthy(), &numbered).said();
    assert!(said.starts_with("exit 0\nHOLD") && said.contains("in 300 pairs"), "{said}");
    let unreadable = half_a_minute(|_, event| event["event_time"] = json!("2026-01-01 12:00:00"));
    insta::assert_snapshot!(Case::of(RULES, &healthy(), &unreadable).said());
    let some = half_a_minute(|n, event| {
        if n % 5 == 0 {
            event["event_time"] = json!("2026-01-01 12:00:00");
        }
    });
    insta::assert_snapshot!(Case::of(RULES, &healthy(), &some).said());
}

#[test]
fn a_score_that_isnt_compared_and_a_latency_below_zero_roll_nobody_back() {
    let nan = half_a_minute(|_, e| e["prediction"] = json!({ "label": "ok", "score": "NaN" }));
    let negative = half_a_minute(|n, event| {
        if n % 2 == 1 {
            event["latency_ms"] = json!(-0.001);
        }
    });
    for candidate in [nan, negative] {
        let said = Case::of(RULES, &healthy(), &candidate).said();
        assert!(said.starts_with("exit 0\nHOLD") && said.contains("in 300 pairs"), "{said}");
    }
}

#[test]
fn failures_that_are_delivered_three_times_count_once() {
    // 3 % fail, and each of these three times: 8.5 % of what arrives.
    let answers = traffic(6000, 100, |n, event| {
        if n % 33 == 0 {
            fail(event);
        }
    });
    let again = |line: &str| {
        let copies = if line.contains("503") { 3 } else { 1 };
        format!("{line}\n").repeat(copies)
    };
    let candidate: String = answers.lines().map(again).collect();
    let primary = traffic(6000, 100, |_, _| {});
    let said = Case::of("rollback_when: [error_rate > 5%]\n", &primary, &candidate).said();
    insta::assert_snapshot!(said);
}

#[test]
fn an_outage_of_both_arms_investigates_during_it_and_after_it() {
    for outage_s in [10, 50] {
        let arm = |arm: i64| {
            traffic(6 * 60 * 20, 20, move |n, event| {
                let share = if (120..120 + outage_s).contains(&(n / 20)) { 33 } else { 1 };
                if dice(n, arm) < share {
                    fail(event);
                }
            })
        };
        let said = Case::of(RULES, &arm(0), &arm(1)).said();
        assert!(!said.contains("ROLLBACK"), "{outage_s} s: {said}");
        let is_shared =
            said.starts_with("exit 0\nINVESTIGATE") && said.contains("the cause is shared");
        assert!(is_shared || outage_s < 50, "{said}");
    }
}

#[test]
fn failures_arent_all_of_a_candidate_because_its_other_answers_cant_be_read() {
    let candidate = traffic(3 * 60 * 20, 20, |n, event| {
        if dice(n, 1) < 2 {
            fail(event);
        } else {
            event["prediction"] = json!(["ok"]);
        }
    });
    let said = Case::of(RULES, &traffic(3 * 60 * 20, 20, |_, _| {}), &candidate).said();
    assert!(said.contains("INVESTIGATE  t / v8: unreadable_rate > 1%"), "{said}");
    assert!(!said.contains("ROLLBACK"), "{said}");
    assert!(said.contains("undecided: 59 of 3,600"), "all of its records are told: {said}");
}

#[test]
fn a_candidate_that_recovers_later_than_the_primary_is_told_from_when_it_alone_was_sick() {
    let arm = |arm: i64, until_s: i64| {
        traffic(4 * 60 * 20, 20, move |n, event| {
            let share = if (60..until_s).contains(&(n / 20)) { 60 } else { 1 };
            if dice(n, arm) < share {
                fail(event);
            }
        })
    };
    let said = Case::of(RULES, &arm(0, 120), &arm(1, 180)).said();
    let told = said.lines().find(|line| line.starts_with("ROLLBACK")).unwrap_or_default();
    assert!(told.contains("error_rate > 5% since 2026-01-01T12:02:0"), "{said}");
    assert!(told.contains("against 1.0 %"), "the primary is well meanwhile: {told}");
}

#[test]
fn where_records_come_a_minute_apart_the_verdict_is_of_now() {
    let sparse = |n: i64, event: &mut Value| event["event_time"] = json!(NOON_MS + n * 61_000);
    let arm = || traffic(90, 1, sparse);
    let said = Case::of("rollback_when: [error_rate > 5%]\n", &arm(), &arm()).said();
    assert!(said.starts_with("exit 0\nHOLD"), "{said}");
}

#[test]
fn where_nearly_all_records_are_copies_by_their_id_the_verdict_is_blind() {
    let of_a_session =
        |n: i64, event: &mut Value| event["request_id"] = json!(format!("s{}", n % 4));
    let arm = || traffic(3 * 60 * 20, 20, of_a_session);
    let said = Case::of(RULES, &arm(), &arm()).said();
    assert!(said.contains("BLIND") && said.contains("are copies of others by their"), "{said}");
}

#[test]
fn probes_in_one_segment_roll_no_healthy_candidate_back() {
    let country = |n: i64| if n % 20 == 7 { "BR" } else { "DE" };
    let arm =
        || traffic(5 * 60 * 20, 20, |n, event| event["segments"] = json!({"country": country(n)}));
    let probe = |n: i64, event: &mut Value| {
        fail(event);
        event["request_id"] = json!(format!("probe{n}"));
        event["segments"] = json!({"country": "BR"});
    };
    let probes = traffic(5 * 60, 1, probe);
    let late = probes.lines().skip(180).map(|line| format!("{line}\n"));
    let mut lines: Vec<String> =
        arm().lines().map(|line| format!("{line}\n")).chain(late).collect();
    lines.sort_by_key(|line| serde_json::from_str::<Value>(line).unwrap()["event_time"].as_i64());
    let rest = "segments: {country: {declared: [BR, DE]}}\nrollback_when: [error_rate > 5% in country=BR]\n";
    let said = Case::of(rest, &arm(), &lines.concat()).said();
    assert!(!said.contains("ROLLBACK"), "{said}");
}

#[test]
fn of_a_version_that_both_bases_number_otherwise_no_lower_signal_follows_a_higher_one() {
    let candidate = traffic(6 * 60 * 20, 20, |n, event| {
        let second = n / 20;
        event["model_version"] =
            json!(["v8", "v9", "v10"][usize::from(61 <= second) + usize::from(64 <= second)]);
        if 150 < second && dice(n, 1) < 30 {
            fail(event);
        } else if 150 < second && 80 < dice(n, 2) {
            event["prediction"]["label"] = json!("other");
        }
    });
    let case = Case::of(RULES, &traffic(6 * 60 * 20, 20, |_, _| {}), &candidate);
    let said = case.said();
    let signals = case.lines("signals.jsonl");
    let actions: Vec<&str> =
        signals.iter().map(|signal| signal["data"]["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["rollback"], "{said}");
    assert!(said.contains("INVESTIGATE  by panes: match_rate < 95%"), "it has its row: {said}");
}

#[test]
fn clocks_that_drift_apart_are_no_other_ids() {
    let drifts = |n: i64, event: &mut Value| event["event_time"] = json!(NOON_MS + n * 51);
    let said =
        Case::of(RULES, &traffic(24_000, 20, |_, _| {}), &traffic(24_000, 20, drifts)).said();
    assert!(said.contains("BLIND") && said.contains("v8 stamps them"), "{said}");
    assert!(
        !said.contains("nothing joins") && !said.contains("no record of the primary"),
        "{said}"
    );
}

#[test]
fn a_fix_isnt_rolled_back_for_what_it_fixes() {
    for (switch_s, mix_s) in [(62, 0), (60, 0), (62, 30)] {
        let candidate = traffic(180 * 20, 20, |n, event| {
            let after = n / 20 - switch_s;
            let is_old = after < 0 || (after < mix_s && after * 100 < dice(n, 1) * mix_s);
            event["model_version"] = json!(if is_old { "v8.1" } else { "v8.2" });
            if is_old && dice(n, 0) < 40 {
                fail(event);
            }
        });
        let primary = traffic(180 * 20, 20, |_, _| {});
        let case = Case::of(RULES, &primary, &candidate);
        let said = case.said();
        assert!(said.starts_with("exit 0\nHOLD"), "{switch_s} s, {mix_s} s: {said}");
        let versions = case.lines("signals.jsonl");
        let versions: Vec<&Value> = versions.iter().map(|s| &s["data"]["model_version"]).collect();
        assert_eq!(versions, ["v8.1"], "{switch_s} s, {mix_s} s: the broken one's rollback alone");
    }
}

#[test]
fn the_longest_for_that_is_allowed_can_be_shown() {
    let failing = |share: i64| {
        traffic(360 * 20, 20, move |n, event| {
            if 30 * 20 <= n && dice(n, 1) < share {
                fail(event);
            }
        })
    };
    // 240 panes of a second.
    let rest = "time: {pane: 1s, wait: 5s, skew: 1s}\nrollback_when: [error_rate > 5% for 4m]\n";
    let said = |share: i64| Case::of(rest, &failing(0), &failing(share)).said();
    assert!(said(12).starts_with("exit 0\nROLLBACK"), "{}", said(12));
    assert!(said(4).starts_with("exit 0\nHOLD"), "{}", said(4));
}

#[test]
fn traffic_in_bursts_is_decided_after_the_harm_and_dated_around_it() {
    // Ten seconds each ten minutes over four partitions; from 13:00 on two of five answers fail.
    let bursts = |partition: i64, with: fn(i64, &mut Value)| {
        let all = traffic(3600, 20, |n, event| {
            event["event_time"] = json!(NOON_MS + n / 200 * 600_000 + n % 200 * 50);
            with(n, event);
        });
        let here = all.lines().enumerate().filter(|(n, _)| dice(*n as i64, 7) % 4 == partition);
        here.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let failing: fn(i64, &mut Value) = |n, event| {
        if 6 * 200 <= n && dice(n, 1) < 40 {
            fail(event);
        }
    };
    let files: Vec<(String, String)> = (0..4)
        .flat_map(|p| {
            let arm = |name: &str, with| (format!("data/{name}-{p}.jsonl"), bursts(p, with));
            [arm("primary", |_, _| {}), arm("v8", failing)]
        })
        .collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let case = Case::new(&format!("{HEAD}{RULES}"), &files);
    insta::assert_snapshot!(case.replay(&["primary=data", "v8=data"], &[]), @r"
    exit 0
    ROLLBACK  t / v8: error_rate > 5% since 2026-01-01T13:00:00.000Z (12:40:00 to 13:00:00): 42.8 % against 0.0 %, 171 of 400 requests failed; by chance in less than 1.0 % of rollouts
      rule                  asks for     decided                                        stands
      error_rate > 5%       rollback     ROLLBACK at 2026-01-01T13:10:10.000Z by panes  shown: 112 of 448
      null_rate > 5%        rollback     nothing                                        undecided: 0 of 2,625, enough to show twice the limit
      match_rate < 95%      investigate  nothing                                        undecided: 0 of 2,625, enough to show twice the limit
      missing_rate > 50%    rollback     nothing                                        undecided: 0 of 3,400, enough to show twice the limit
      missing_rate > 5%     investigate  nothing                                        undecided: 0 of 3,400, enough to show twice the limit
      unreadable_rate > 1%  investigate  nothing                                        undecided: 0 of 3,600; twice the limit would be shown in about 6,470
    ");
}

#[test]
fn what_fails_after_the_primary_has_fallen_silent_investigates() {
    let failing = traffic(6000, 10, |n, event| {
        if 4000 <= n && dice(n, 5) < 30 {
            fail(event);
        }
    });
    let case = Case::of(RULES, &traffic(3000, 10, |_, _| {}), &failing);
    insta::assert_snapshot!(case.said(), @r"
    exit 0
    INVESTIGATE  t / v8: error_rate > 5% since 2026-01-01T12:06:40.000Z (12:06:21 to 12:06:41): 32.9 %, 46 of 140 requests failed; by chance in less than 1.0 % of rollouts; the primary is silent: whether it fares as badly can't be told
      rule                  asks for     decided                                            stands
      error_rate > 5%       rollback     INVESTIGATE at 2026-01-01T12:06:54.000Z by vitals  undecided: 614 of 6,000, enough to show twice the limit
      null_rate > 5%        rollback     nothing                                            undecided: 0 of 5,386, enough to show twice the limit
      match_rate < 95%      investigate  nothing                                            blind: of 600 answers none is the primary's
      missing_rate > 50%    rollback     nothing                                            blind: of 600 answers none is the primary's
      missing_rate > 5%     investigate  nothing                                            blind: of 600 answers none is the primary's
      unreadable_rate > 1%  investigate  nothing                                            undecided: 0 of 6,000; twice the limit would be shown in about 6,470
      trouble: no record of the primary has come for 5 min, and the other arm goes on; see whether the primary runs, and whether its topic is the one that it writes to
    ");
}

#[test]
fn where_no_primary_ever_comes_that_is_what_is_said() {
    let case = Case::of(RULES, "", &traffic(3000, 10, |_, _| {}));
    insta::assert_snapshot!(case.said(), @r"
    exit 65
    BLIND  t / v8: no record of the primary has come, and 3000 of the other arm; see whether the primary runs, and whether its topic is the one that it writes to
      rule                  asks for     decided  stands
      error_rate > 5%       rollback     nothing  undecided: 0 of 3,000, enough to show twice the limit
      null_rate > 5%        rollback     nothing  undecided: 0 of 3,000, enough to show twice the limit
      match_rate < 95%      investigate  nothing  blind: of 600 answers none is the primary's
      missing_rate > 50%    rollback     nothing  blind: of 600 answers none is the primary's
      missing_rate > 5%     investigate  nothing  blind: of 600 answers none is the primary's
      unreadable_rate > 1%  investigate  nothing  undecided: 0 of 3,000; twice the limit would be shown in about 6,470
    -- stderr
    error: nothing was compared: no request has both answers; see what is said above
    ");
}

#[test]
fn a_partition_or_a_segment_without_answers_is_named_and_no_sampling_is_proposed() {
    let of = |with: &dyn Fn(i64) -> bool| -> String {
        let all = traffic(3000, 10, |n, event| {
            event["segments"] = json!({ "country": if n % 4 == 0 { "BR" } else { "DE" } });
        });
        let here = all.lines().enumerate().filter(|(n, _)| with(*n as i64));
        here.map(|(_, line)| format!("{line}\n")).collect()
    };
    let mut files = Vec::new();
    for partition in 0..4 {
        let all = of(&|n| dice(n, 9) % 4 == partition);
        files.push((format!("data/primary-{partition}.jsonl"), all.clone()));
        files.push((
            format!("data/v8-{partition}.jsonl"),
            if partition == 3 { String::new() } else { all },
        ));
    }
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let case = Case::new(HEAD, &files);
    insta::assert_snapshot!(case.replay(&["primary=data", "v8=data"], &[]), @r"
    exit 0
    INVESTIGATE  t / v8: missing_rate > 5% since 2026-01-01T12:00:10.000Z: 49 of 200 requests have no answer of the candidate; by chance in less than 1.0 % of rollouts; v8 writes nothing into 1 of 4 partitions in which the primary goes on: 3
      rule                  asks for     decided                                           stands
      missing_rate > 50%    rollback     nothing                                           undecided: 737 of 2,900, enough to show twice the limit
      missing_rate > 5%     investigate  INVESTIGATE at 2026-01-01T12:00:30.000Z by panes  shown: 49 of 200
      unreadable_rate > 1%  investigate  nothing                                           undecided: 0 of 2,236; twice the limit would be shown in about 6,385
      trouble: v8 writes nothing into 1 of 4 partitions in which the primary goes on: 3; see whether whoever mirrors the requests, or writes the answers, leaves these partitions out
    -- stderr
    warning: p.yaml: rollback_when and investigate_when are empty: only the rules that are always there, on missing and unreadable answers, can be shown
    ");
    let rest = "segments: {country: {declared: [BR, DE]}}\n";
    let case = Case::of(rest, &of(&|_| true), &of(&|n| n % 4 != 0));
    insta::assert_snapshot!(case.said(), @r"
    exit 0
    INVESTIGATE  t / v8: missing_rate > 5% since 2026-01-01T12:00:10.000Z: 50 of 200 requests have no answer of the candidate; by chance in less than 1.0 % of rollouts; country=BR holds 100 % of it; v8 answers next to none of country=BR, 0 of 50: whoever mirrors the requests may leave these out, or v8 doesn't answer them
      rule                  asks for     decided                                           stands
      missing_rate > 50%    rollback     nothing                                           undecided: 725 of 2,900, enough to show twice the limit
      missing_rate > 5%     investigate  INVESTIGATE at 2026-01-01T12:00:30.000Z by panes  shown: 50 of 200
      unreadable_rate > 1%  investigate  nothing                                           undecided: 0 of 2,250; twice the limit would be shown in about 6,385
    -- stderr
    warning: p.yaml: rollback_when and investigate_when are empty: only the rules that are always there, on missing and unreadable answers, can be shown
    ");
}

#[test]
fn what_may_be_a_mistake_of_fields_units_or_times_rolls_nobody_back() {
    let rules = "rollback_when: [null_rate > 5%, latency_p99 > 2x primary]\ncompare: label\n";
    let scores = traffic(3000, 10, |_, event| event["prediction"] = json!({ "score": 0.5 }));
    let case = Case::of(rules, &traffic(3000, 10, |_, _| {}), &scores);
    insta::assert_snapshot!(case.said(), @r"
    exit 0
    INVESTIGATE  t / v8: null_rate > 5% since 2026-01-01T12:00:00.000Z: 100.0 % against 0.0 %, 411 of 411 answers without a usable prediction; by chance in less than 1.0 % of rollouts; predictions of v8 have `score` (411 of 411 answers), the pipeline compares labels: nothing is comparable
      rule                      asks for     decided                                            stands
      null_rate > 5%            rollback     INVESTIGATE at 2026-01-01T12:00:41.000Z by vitals  undecided: 3,000 of 3,000, enough to show twice the limit
      latency_p99 > 2x primary  rollback     nothing                                            undecided: 0 of 2,800; twice the limit would be shown in about 6,535
      missing_rate > 50%        rollback     nothing                                            undecided: 0 of 2,900, enough to show twice the limit
      missing_rate > 5%         investigate  nothing                                            undecided: 0 of 2,900, enough to show twice the limit
      unreadable_rate > 1%      investigate  nothing                                            undecided: 0 of 3,000; twice the limit would be shown in about 6,385
      trouble: predictions of v8 have `score` (809 of 809 answers), the pipeline compares labels: nothing is comparable; mend one of the producers: the other arm's answers carry what is compared
    ");
    let seconds =
        traffic(3000, 10, |n, event| event["latency_ms"] = json!(0.01 + dice(n, 1) as f64 / 1e4));
    let case = Case::of(rules, &seconds, &traffic(3000, 10, |_, _| {}));
    insta::assert_snapshot!(case.said(), @r"
    exit 0
    INVESTIGATE  t / v8: latency_p99 > 2x primary since 2026-01-01T12:00:40.000Z: 12.8 ms against 0.0 ms (640.0x), 50 of 50 answers slow; by chance in less than 1.0 % of rollouts; the primary's latencies are below 0.1 ms: they may be of another unit, or none
      rule                      asks for     decided                                            stands
      null_rate > 5%            rollback     nothing                                            undecided: 0 of 3,000, enough to show twice the limit
      latency_p99 > 2x primary  rollback     INVESTIGATE at 2026-01-01T12:00:45.000Z by vitals  undecided: 2,800 of 2,800; twice the limit would be shown in about 6,584
      missing_rate > 50%        rollback     nothing                                            undecided: 0 of 2,900, enough to show twice the limit
      missing_rate > 5%         investigate  nothing                                            undecided: 0 of 2,900, enough to show twice the limit
      unreadable_rate > 1%      investigate  nothing                                            undecided: 0 of 3,000; twice the limit would be shown in about 6,385
    ");
    // The clock of the candidate jumps by two minutes.
    let jumped = traffic(9000, 10, |n, event| {
        if 3000 <= n {
            event["event_time"] = json!(NOON_MS + n * 100 + 120_000);
        }
    });
    let case = Case::of(rules, &traffic(9000, 10, |_, _| {}), &jumped);
    insta::assert_snapshot!(case.said(), @r"
    exit 0
    BLIND  t / v8: of 512 sampled requests that both arms saw, 512 carry times further apart than `skew` (5s): v8 stamps them 2 min later in the middle; stamp both arms with the request's own time, or write `time: {skew: 121s}`
      rule                      asks for     decided  stands
      null_rate > 5%            rollback     nothing  undecided: 0 of 9,000, enough to show twice the limit
      latency_p99 > 2x primary  rollback     nothing  blind: of 600 answers none is the primary's
      missing_rate > 50%        rollback     nothing  blind: too many answers can't be read, or can't be brought together, now
      missing_rate > 5%         investigate  nothing  blind: too many answers can't be read, or can't be brought together, now
      unreadable_rate > 1%      investigate  nothing  undecided: 0 of 9,000, enough to show twice the limit
      trouble from 12:05:34 on, over since: no record of v8 has come for 35 s, and the other arm goes on; see whether v8 runs, and whether its topic is the one that it writes to
    ");
}
