//! Finding the programs of others, and saying plainly which one is missing.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{AccessFlags, access};

use super::Excuse;

/// Where programs are looked for.
#[derive(Clone, Debug)]
pub struct Programs {
    path: OsString,
}

impl Default for Programs {
    /// In `PATH`, and where administrators' programs live, which is often not in it.
    fn default() -> Self {
        let mut path = env::var_os("PATH").unwrap_or_default();
        path.push(":/usr/local/sbin:/usr/sbin:/sbin");
        Self { path }
    }
}

impl Programs {
    /// In these directories only, separated by colons.
    pub fn within(path: impl Into<OsString>) -> Self {
        Self { path: path.into() }
    }

    /// The directories, for a shell to look in.
    pub fn path(&self) -> &OsStr {
        &self.path
    }

    /// The full path of a program that a package of Debian brings.
    ///
    /// # Errors
    ///
    /// When it is not there; says what would bring it.
    pub fn need(&self, program: &str, package: &str) -> Result<PathBuf, Excuse> {
        env::split_paths(&self.path)
            .map(|directory| directory.join(program))
            .find(|path| path.is_file() && access(path, AccessFlags::X_OK).is_ok())
            .ok_or_else(|| {
                Excuse::Absent(format!(
                    "{program} is not installed; apt-get install {package}"
                ))
            })
    }
}

/// The first line that a program prints of its version.
///
/// # Errors
///
/// When it does not start, or says nothing.
pub fn version(program: &Path, argument: &str) -> Result<String, Excuse> {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            Excuse::Failed(format!("{} does not start: {error}", program.display()))
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next() {
        Some(line) if !line.trim().is_empty() => Ok(line.trim().to_owned()),
        _ => Err(Excuse::Failed(format!(
            "{} {argument} prints no version",
            program.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_and_names_what_is_not() {
        let programs = Programs::default();
        assert!(programs.need("sh", "dash").is_ok());
        assert_eq!(
            Programs::within("/proc/self:/nowhere").need("sh", "dash"),
            Err(Excuse::Absent(
                "sh is not installed; apt-get install dash".to_owned()
            ))
        );
    }

    #[test]
    fn a_file_that_is_no_program_does_not_count() {
        // Readable, in a directory of the path, but nobody may execute it.
        assert!(Programs::within("/etc").need("passwd", "x").is_err());
    }
}
