//! Which network interface is wanted.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::word::{Word, quote};

/// How the configuration names the interface that all traffic takes.
///
/// Always explicit: a kernel left to choose takes whichever interface has the
/// default route, and a consensus experiment ends up on the office network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceChoice {
    /// The interface with this address.
    Address(Ipv4Addr),
    /// The interface of this name, as `ip link` shows it.
    Name(String),
    /// The interface with an address in this subnet: one file serves all hosts of a LAN.
    Subnet {
        /// The subnet's address; no bit is set behind the prefix.
        network: Ipv4Addr,
        /// How many leading bits make the subnet, 1 to 32.
        prefix: u8,
    },
}

impl InterfaceChoice {
    /// The default: nothing leaves this machine.
    pub const LOOPBACK: InterfaceChoice = InterfaceChoice::Address(Ipv4Addr::LOCALHOST);

    /// Whether an interface called `name` that has `address` is one of those wanted.
    pub fn matches(&self, name: &str, address: Ipv4Addr) -> bool {
        match self {
            InterfaceChoice::Address(wanted) => *wanted == address,
            InterfaceChoice::Name(wanted) => wanted == name,
            InterfaceChoice::Subnet { network, prefix } => mask(address, *prefix) == *network,
        }
    }

    pub(super) fn read(word: &Word) -> Result<InterfaceChoice, String> {
        let text = word.text()?;
        if let Some((network, prefix)) = text.split_once('/') {
            return read_subnet(word, network, prefix);
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
                return Err(format!(
                    "{address} is no interface's address: \
                     give one that this host has, as in 127.0.0.1 (see: ip address)"
                ));
            }
            return Ok(InterfaceChoice::Address(address));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(format!(
                "{word} is an IPv6 address: give the interface's IPv4 address or its name"
            ));
        }
        if text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        {
            return Err(format!(
                "{word} is no IPv4 address: write four numbers from 0 through 255, as in 127.0.0.1"
            ));
        }
        if text.len() > MAX_NAME
            || text.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control())
        {
            return Err(format!(
                "{word} cannot be an interface's name: give one that this host has (see: ip link)"
            ));
        }
        Ok(InterfaceChoice::Name(text.to_owned()))
    }
}

impl fmt::Display for InterfaceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterfaceChoice::Address(address) => write!(f, "{address}"),
            InterfaceChoice::Name(name) => f.write_str(&quote(name.as_bytes())),
            InterfaceChoice::Subnet { network, prefix } => write!(f, "{network}/{prefix}"),
        }
    }
}

/// The longest name that Linux gives an interface, in bytes.
const MAX_NAME: usize = 15;

fn read_subnet(word: &Word, network: &str, prefix: &str) -> Result<InterfaceChoice, String> {
    let parts = network.parse::<Ipv4Addr>().ok().zip(
        prefix
            .parse::<u8>()
            .ok()
            .filter(|prefix| (1..=32).contains(prefix)),
    );
    let Some((network, prefix)) = parts else {
        return Err(format!(
            "{word} is no IPv4 subnet: \
             write it as in 10.0.0.0/24, the number behind the slash from 1 through 32"
        ));
    };
    let masked = mask(network, prefix);
    if masked != network {
        return Err(format!(
            "{word} is an address and a subnet in one: \
             write {masked}/{prefix} for the subnet or {network} for the address"
        ));
    }
    Ok(InterfaceChoice::Subnet { network, prefix })
}

fn mask(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let host_bits = 32 - u32::from(prefix.min(32));
    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<InterfaceChoice, String> {
        InterfaceChoice::read(&Word::split(text.as_bytes()).unwrap()[0])
    }

    #[test]
    fn an_address_a_name_or_a_subnet() {
        assert_eq!(read("127.0.0.1"), Ok(InterfaceChoice::LOOPBACK));
        assert_eq!(read("eth0.7"), Ok(InterfaceChoice::Name("eth0.7".into())));
        let subnet = InterfaceChoice::Subnet {
            network: Ipv4Addr::new(10, 0, 0, 0),
            prefix: 24,
        };
        assert_eq!(read("10.0.0.0/24"), Ok(subnet));
    }

    #[test]
    fn what_can_be_none_of_them_is_refused() {
        for (text, part) in [
            ("0.0.0.0", "no interface's address"),
            ("239.0.0.1", "no interface's address"),
            ("10.0.0.300", "no IPv4 address"),
            ("127.1", "no IPv4 address"),
            ("::1", "an IPv6 address"),
            ("eth0:1", "cannot be an interface's name"),
            ("averyveryverylongname", "cannot be an interface's name"),
            ("\"\"", "no IPv4 address"),
            ("\"two words\"", "cannot be an interface's name"),
            ("10.0.0.0/0", "no IPv4 subnet"),
            ("10.0.0.0/33", "no IPv4 subnet"),
            ("10.0.0/24", "no IPv4 subnet"),
            ("eth/0", "no IPv4 subnet"),
            (
                "10.0.0.5/24",
                "write 10.0.0.0/24 for the subnet or 10.0.0.5 for",
            ),
        ] {
            let what = read(text).unwrap_err();
            assert!(what.contains(part), "{text}: {what}");
        }
    }

    #[test]
    fn a_subnet_has_edges() {
        let subnet = read("10.1.2.128/25").unwrap();
        for (address, inside) in [
            ([10, 1, 2, 127], false),
            ([10, 1, 2, 128], true),
            ([10, 1, 2, 255], true),
            ([10, 1, 3, 128], false),
        ] {
            assert_eq!(
                subnet.matches("eth0", address.into()),
                inside,
                "{address:?}"
            );
        }
        let host = read("10.1.2.3/32").unwrap();
        assert!(host.matches("eth0", [10, 1, 2, 3].into()));
        assert!(!host.matches("eth0", [10, 1, 2, 2].into()));
    }

    #[test]
    fn addresses_and_names_match_themselves_only() {
        let loopback = InterfaceChoice::LOOPBACK;
        assert!(loopback.matches("lo", Ipv4Addr::LOCALHOST));
        assert!(!loopback.matches("lo", [127, 0, 0, 2].into()));
        let name = read("eth0").unwrap();
        assert!(name.matches("eth0", [10, 0, 0, 1].into()));
        assert!(!name.matches("eth01", [10, 0, 0, 1].into()));
    }
}
