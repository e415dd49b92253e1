//! The page.
/// The page.
pub fn write(_: &super::Report) -> String {
    String::new()
}
