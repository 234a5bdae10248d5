//! Commands, their words and their exit codes.
//!
//! In: arguments. Out: data on stdout, everything else on stderr. Holds: exit codes are 0 done,
//! 1 failed, 2 wrong usage, 65 inputs of which nothing could be compared, 69 a service can't be reached, 73 the
//! output would lie beside another one, 78 a bad pipeline file, or one that doesn't fit its log. Knows nothing
//! of: how results come about.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks")]

mod closing;
mod columns;
mod compact;
mod demo;
mod generate;
mod log;
mod recovery;
mod replay;
mod report;
mod run;
mod schema;
mod status;

use std::io::{IsTerminal, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use parallax::adapters::generate::environment;
use parallax::adapters::output::OutputError;
use parallax::config::{self, Pipeline};
use parallax::runtime::clock::monotonic;
use parallax::runtime::driver::OtherConfiguration;
use parallax::runtime::source::SourceError;

/// Watches a new model beside the one in production and says, with evidence and a known error rate:
/// roll back, investigate or hold.
#[derive(Parser, Debug)]
#[command(version, propagate_version = true)]
struct Arguments {
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Say more on stderr (-v, -vv).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// See a candidate go wrong and a rollback explained: nothing to install, no network
    Demo(demo::Demo),
    /// Run a pipeline on Kafka
    Run(run::Run),
    /// Run a pipeline over files: what it would have decided, and when
    Replay(replay::Replay),
    /// Merge the small files of closed days into few large ones
    Compact(compact::Compact),
    /// Print what a pipeline wrote down: claims, facts, seconds, closed panes, weighings
    Log(log::Log),
    /// Say how a pipeline stands, whether it runs or not: epochs, frontiers, what would be read again
    Status(status::Status),
    /// Check a pipeline file: all problems at once
    Validate {
        /// The pipeline file, or - for standard input.
        #[arg(required = true)]
        pipelines: Vec<PathBuf>,
    },
    /// Make traffic with faults to order, to Kafka or files
    Generate(Box<generate::Generate>),
    /// Print a contract: pipeline, prediction, signal, status
    Schema(schema::Schema),
}

/// A pipeline file with problems: they were printed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadPipeline(String);

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging(arguments.verbose, matches!(arguments.command, Command::Run(_)));
    let output = arguments.output;
    let result = match arguments.command {
        Command::Demo(demo) => demo.run(output),
        Command::Run(run) => run.run(output),
        Command::Replay(replay) => replay.run(output),
        Command::Compact(compact) => compact.run(output),
        Command::Log(log) => log.run(output),
        Command::Status(status) => status.run(output),
        Command::Validate { pipelines } => validate(&pipelines),
        Command::Generate(generate) => (*generate).run(output),
        Command::Schema(schema) => schema.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(BadPipeline(text)) = error.downcast_ref() {
                eprint!("{text}");
                return ExitCode::from(78);
            }
            eprintln!("error: {error:#}");
            if error.downcast_ref::<OtherConfiguration>().is_some() {
                return ExitCode::from(78);
            }
            if error.downcast_ref::<report::NothingCompared>().is_some() {
                return ExitCode::from(65);
            }
            if let Some(OutputError::Occupied { .. }) = error.downcast_ref() {
                return ExitCode::from(73);
            }
            let unreachable = matches!(error.downcast_ref(), Some(SourceError::Connect { .. }));
            ExitCode::from(if unreachable { 69 } else { 1 })
        }
    }
}

/// Loads a pipeline file; its warnings go to stderr.
fn load(path: &Path) -> Result<Pipeline> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).context("read standard input")?;
    } else {
        bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        BadPipeline(format!("error: {}: no text at byte {at}: write it in UTF-8\n", path.display()))
    })?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let pipeline = config::load(&text, &path.display().to_string(), &environment())
        .map_err(|problems| BadPipeline(problems.render(colour)))?;
    for warning in &pipeline.warnings {
        eprintln!("warning: {}: {warning}", path.display());
    }
    Ok(pipeline)
}

fn validate(pipelines: &[PathBuf]) -> Result<()> {
    let mut bad = String::new();
    for path in pipelines {
        match load(path) {
            Ok(pipeline) => {
                let spec = &pipeline.spec;
                writeln!(
                    std::io::stdout(),
                    "{}: ok, pipeline {} with {} and {} (configuration {:016x})",
                    path.display(),
                    spec.name,
                    counted(spec.candidates.len(), "candidate"),
                    counted(spec.rules.len(), "rule"),
                    spec.config_hash
                )?;
            }
            Err(error) => match error.downcast::<BadPipeline>() {
                Ok(BadPipeline(text)) => bad.push_str(&text),
                Err(error) => return Err(error),
            },
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(BadPipeline(bad).into()) }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn start_logging(verbose: u8, runs: bool) {
    use tracing_subscriber::filter::{FilterExt as _, dynamic_filter_fn};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    use tracing_subscriber::{EnvFilter, Layer as _};
    let level = match (verbose, runs) {
        (0, false) => "warn",
        (0, true) => "info",
        (1, _) => "debug",
        _ => "trace",
    };
    let chosen = EnvFilter::try_from_env("PARALLAX_LOG");
    let all = 0 < verbose || chosen.is_ok();
    let filter =
        chosen.unwrap_or_else(|_| EnvFilter::new(level)).and(dynamic_filter_fn(move |event, _| {
            let is_foreign =
                ["librdkafka", "rdkafka"].iter().any(|t| event.target().starts_with(t));
            all || !is_foreign || *event.level() == tracing::Level::ERROR && is_due()
        }));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = if std::io::stderr().is_terminal() {
        layer.with_target(false).boxed()
    } else {
        layer.json().boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
}

/// Returns whether the Kafka library may say an error again: it says the same many times a second while a
/// broker is away, and its warnings are about what it mends by itself.
fn is_due() -> bool {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let (now, mut last) = (monotonic(), LAST.lock().unwrap_or_else(PoisonError::into_inner));
    let due = last.is_none_or(|last| Duration::from_secs(10) <= now.duration_since(last));
    if due {
        *last = Some(now);
    }
    due
}

/// A reader that went away, as `head` does, is not an error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
