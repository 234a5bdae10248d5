//! `schema`: the contracts, printed.

use std::io::Write as _;

use anyhow::Result;
use clap::{Args, ValueEnum};

/// Print a contract.
#[derive(Args, Debug)]
pub(super) struct Schema {
    /// Which.
    #[arg(value_enum)]
    contract: Contract,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Contract {
    /// The pipeline file.
    Pipeline,
    /// The prediction event.
    Prediction,
    /// The control signal.
    Signal,
    /// What `status -o json` prints.
    Status,
}

impl Schema {
    pub(super) fn run(self) -> Result<()> {
        let text = match self.contract {
            Contract::Pipeline => serde_json::to_string_pretty(&parallax::config::schema())? + "\n",
            Contract::Prediction => include_str!("../../schemas/prediction.v1.json").to_owned(),
            Contract::Status => include_str!("../../schemas/status.v1.json").to_owned(),
            Contract::Signal => include_str!("../../schemas/signal.v1.json").to_owned(),
        };
        Ok(std::io::stdout().write_all(text.as_bytes())?)
    }
}
