//! `replay`: a pipeline over files.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget};
use parallax::adapters::files::{self, FileSource};
use parallax::adapters::kafka::routed::Routed;
use parallax::adapters::log::file::FileLog;
use parallax::adapters::output;
use parallax::decide::format;
use parallax::runtime::follow::{self, Recorded};
use parallax::runtime::replay;
use parallax::runtime::source::Source;
use parallax::runtime::stop::Stop;
use parallax::wiring;

use super::Output;
use super::report::{Collected, Collector, compared, print_end};

/// Run a pipeline over files.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  parallax generate --out data --rate 300 --wrong 12%@2m:country=BR\n  parallax replay --pipeline pipelines/fraud.yaml --source primary=data --source v8=data --out out"
)]
pub(super) struct Replay {
    /// The pipeline file.
    #[arg(long, value_name = "FILE")]
    pipeline: PathBuf,
    /// Where tables and signals go: a new or empty folder.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Remove what an earlier replay wrote to that folder: its tables, signals and dead letters.
    #[arg(long)]
    overwrite: bool,
    /// Files of an input, one per partition: NAME=FILE[,FILE…], or NAME=FOLDER for its NAME-*.
    #[arg(long = "source", value_name = "NAME=FILE", required = true)]
    sources: Vec<String>,
    /// Follow the log of an earlier run: its facts and cuts, so that it decides the same. The folder
    /// is that run's `log.directory`; the sources hold the records it read, from offset 0 on.
    #[arg(long, value_name = "FOLDER")]
    log: Option<PathBuf>,
}

impl Replay {
    pub(super) fn run(self, format: Output) -> Result<()> {
        let mut pipeline = super::load(&self.pipeline)?;
        pipeline.endpoints.output = self.out;
        let mut names = vec!["primary".to_owned()];
        names.extend(pipeline.spec.candidates.iter().cloned());
        let files = FileSource::open(&files::sources(&self.sources, &names)?)?;
        let mut source: Box<dyn Source> = if pipeline.spec.co_partitioned {
            files.check_equal()?;
            Box::new(files)
        } else {
            pipeline.spec = pipeline.spec.routed(&files.counts())?;
            Box::new(Routed::new(files, pipeline.spec.feeds.clone()))
        };
        let recorded = match &self.log {
            Some(folder) => {
                let frames = FileLog::read_only(folder)?.frames;
                let recorded = Recorded::read(frames, &pipeline.spec, source.partitions())?;
                pipeline.spec = recorded.pipeline(&pipeline.spec);
                Some(recorded)
            }
            None => None,
        };
        let facts = recorded.as_ref().map(Recorded::facts).unwrap_or_default();
        output::claim(&pipeline.endpoints.output, self.overwrite)?;
        let mut driver = wiring::in_memory(&pipeline, source.partitions(), facts)?;
        let decisions = Arc::new(Mutex::new(Collected::default()));
        driver.observe(Box::new(Collector(Arc::clone(&decisions))));
        let bar = ProgressBar::new_spinner();
        if !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let progress = |records| bar.set_message(format!("{records} records"));
        let stop = Stop::default();
        match recorded {
            Some(recorded) => follow::run(&mut driver, source.as_mut(), recorded, &stop, progress)?,
            None => replay::run(&mut driver, source.as_mut(), &stop, progress)?,
        }
        bar.finish_and_clear();
        let (unreadable, read) = driver.counters.unreadable_of_read();
        if 0 < unreadable {
            eprintln!(
                "warning: {} of {} records couldn't be read; each lies with its reason in {}",
                format::count(unreadable),
                format::count(read),
                pipeline.endpoints.output.join("dead_letters.jsonl").display()
            );
        }
        let decisions = decisions.lock().map_err(|_| anyhow::anyhow!("read the decisions"))?;
        let verdicts: Vec<_> = driver.evaluator().map_or_else(Vec::new, |evaluator| {
            (0..pipeline.spec.candidates.len()).filter_map(|at| evaluator.verdict(at)).collect()
        });
        print_end(&pipeline.spec, Some(&decisions), &verdicts, format);
        Ok(compared(&verdicts)?)
    }
}
