//! The bytes on the disk, pinned: logs written once are read for ever.

use paxcast::storage::Disk;
use paxcast::storage::segment;

use super::{disk, open, promised, trimmed, voted, watermark, write};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn one_record_of_each_kind() {
    let mut disk = disk(4096);
    let (mut log, _) = open(&mut disk).unwrap();
    let records = [
        promised(300),
        voted(7, 300, b"value".to_vec()),
        watermark(300, 6),
        trimmed(300, 6, 7),
    ];
    write(&mut log, &[&records[..1], &records[1..]]);
    let mut bytes = vec![0; 4096 - 512];
    disk.read_at(&segment::file_name(1), 512, &mut bytes)
        .unwrap();
    // Head of 32 bytes, then the body under its mask.
    let expected = [
        concat!(
            "05000000732b86bb01000000000000000000000000000000",
            "26bb477e00000000",
            "93332b4128fb81fa",
        ),
        concat!(
            "0c000000fa19c5ee02000000000000000100000000000000",
            "4f5c0ef800000000",
            "f6891334eef7b7d896e2ca53effeb2ae",
        ),
        concat!(
            "06000000a644975703000000000000000100000000000000",
            "89e4d65800000000",
            "f11974aa1ff75212",
        ),
        // Behind its fields, the first segment to be kept.
        concat!(
            "140000003ad0dbae04000000000000000100000000000000",
            "e9017efa00000000",
            "22ca2bb68bf0934e23cd8eb28bf994e221cc87b48af994e2",
        ),
    ];
    let mut rest = &bytes[..];
    for expected in expected {
        let (frame, behind) = rest.split_at(expected.len() / 2);
        assert_eq!(hex(frame), expected);
        rest = behind;
    }
    assert_eq!(hex(&rest[..160]), "0".repeat(320));
}
