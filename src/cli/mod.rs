//! Commands, their words and their exit codes.
//!
//! In: arguments. Out: data on stdout, everything else on stderr. Holds: exit codes are 0 done,
//! 1 failed, 2 wrong usage, 69 a service can't be reached, 78 a bad pipeline file, or
//! one that doesn't fit its log. Knows nothing of:
//! how results come about.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks")]

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

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use parallax::config::{self, Pipeline};
use parallax::shell::driver::OtherConfiguration;
use parallax::shell::generate::environment;
use parallax::shell::source::SourceError;

/// Watches a new model beside the one in production and says, with evidence and a known error rate:
/// roll back, hold or promote.
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
        Command::Run(run) => run.run(),
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
            let unreachable = matches!(error.downcast_ref(), Some(SourceError::Connect { .. }));
            ExitCode::from(if unreachable { 69 } else { 1 })
        }
    }
}

/// Loads a pipeline file; its warnings go to stderr.
fn load(path: &Path) -> Result<Pipeline> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("read standard input")?
    } else {
        std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?
    };
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
                println!(
                    "{}: ok, pipeline {} with {} and {} rules (configuration {:016x})",
                    path.display(),
                    spec.name,
                    match spec.candidates.len() {
                        1 => "1 candidate".to_owned(),
                        n => format!("{n} candidates"),
                    },
                    spec.rules.len(),
                    spec.config_hash
                );
            }
            Err(error) => match error.downcast::<BadPipeline>() {
                Ok(BadPipeline(text)) => bad.push_str(&text),
                Err(error) => return Err(error),
            },
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(BadPipeline(bad).into()) }
}

fn start_logging(verbose: u8, runs: bool) {
    use tracing_subscriber::EnvFilter;
    let level = match (verbose, runs) {
        (0, false) => "warn",
        (0, true) => "info",
        (1, _) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("PARALLAX_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).init();
    } else {
        builder.json().init();
    }
}

/// A reader that went away, as `head` does, is not an error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
