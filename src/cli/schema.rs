//! `schema`: the contracts, printed.

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
        match self.contract {
            Contract::Pipeline => {
                println!("{}", serde_json::to_string_pretty(&parallax::config::schema())?);
            }
            Contract::Prediction => print!("{}", include_str!("../../schemas/prediction.v1.json")),
            Contract::Status => print!("{}", include_str!("../../schemas/status.v1.json")),
            Contract::Signal => print!("{}", include_str!("../../schemas/signal.v1.json")),
        }
        Ok(())
    }
}
