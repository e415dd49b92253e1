//! Pictures of a run: where to put them, and how much of it they show.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use paxcast::sim::diagram::{self, Title};
use paxcast::sim::history::Limits;
use paxcast::sim::{Cluster, Violation, shiviz};

/// Which pictures to make.
#[derive(Debug, Args)]
pub struct Drawing {
    /// Draw a space-time diagram of the run: one self-contained page, or a picture alone when
    /// the file's name ends in .svg
    #[arg(long, value_name = "FILE")]
    diagram: Option<PathBuf>,

    /// Write the run as a ShiViz log
    #[arg(long, value_name = "FILE")]
    shiviz: Option<PathBuf>,
}

impl Drawing {
    /// Whether any picture is wanted.
    pub fn is_wanted(&self) -> bool {
        self.diagram.is_some() || self.shiviz.is_some()
    }

    /// Has the cluster keep what the pictures need.
    pub fn prepare(&self, cluster: &mut Cluster) {
        if self.is_wanted() {
            cluster.keep_history(Limits::default());
        }
    }

    /// Makes the pictures.
    pub fn finish(
        &self,
        cluster: &Cluster,
        heading: &str,
        lines: Vec<String>,
        violation: Option<&Violation>,
    ) -> anyhow::Result<()> {
        let Some(history) = cluster.history() else {
            return Ok(());
        };
        if let Some(file) = &self.diagram {
            let title = Title {
                heading: heading.into(),
                lines,
                violation: violation.map(|violation| (violation.at, violation.what.clone())),
            };
            let picture = match file.extension().is_some_and(|extension| extension == "svg") {
                true => diagram::svg(history, &title),
                false => diagram::html(history, &title),
            };
            write(file, &picture)?;
        }
        if let Some(file) = &self.shiviz {
            write(file, &shiviz::log(history))?;
        }
        Ok(())
    }
}

/// Writes a file, and says that it is there.
pub fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("wrote {}", file.display());
    Ok(())
}

/// A time for people: whole milliseconds.
pub fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}
