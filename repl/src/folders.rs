//! The folders of a user that files of this program are kept in, as the XDG base directories have them.

use std::path::PathBuf;

/// `matex` in the folder that a variable names, or else in this one of the home folder; there is none without either. It need not
/// be there.
pub(crate) fn of_user(variable: &str, in_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute(variable)
        .or_else(|| absolute("HOME").map(|home| home.join(in_home)))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    Some(base.join("matex"))
}
