//! Configuration files and the `--faults` option: read, or refused with a reason.

use paxcast::config::{Config, ConfigError};
use paxcast::daemon::Faults;

/// Takes the bytes as `paxos.conf`, and as misfortunes asked for.
pub fn run(data: &[u8]) -> u64 {
    let mut read = 0;
    match Config::parse("paxos.conf", data) {
        Ok(config) => {
            let explained = config.explain();
            let again = Config::parse("paxos.conf", explained.as_bytes());
            assert!(
                again.is_ok_and(|again| again == config),
                "explained differently: {explained}"
            );
            let settings = config.settings(config.datagram.unwrap_or(576));
            assert!(settings.run_limit() > 0);
            assert!(!settings.membership.acceptors().is_empty());
            read += 1;
        }
        Err(error) => assert_readable(&error),
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(faults) = text.parse::<Faults>() {
        let told = faults.to_string();
        let again: Faults = told.parse().expect("it reads what it prints");
        assert_eq!(again.drop, faults.drop, "{told}");
        assert_eq!(again.duplicate, faults.duplicate, "{told}");
        read += 1;
    }
    read
}

/// A refusal names the file and prints on a terminal.
fn assert_readable(error: &ConfigError) {
    let text = error.to_string();
    assert!(text.contains("paxos.conf"), "{text:?}");
    let odd = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(odd, None, "{text:?}");
}
