//! Values of the command line: literals and files in, results out to files.
//!
//! [`load`] makes a tensor of what follows `NAME=`; [`save`] and [`to_json`] write results. Files come from strangers:
//! sizes are compared with the length of the file before anything is allocated, and every error names the file, the
//! line where there is one, and the way out.

mod csv;
mod error;
mod literal;
mod npy;
mod npz;
mod safetensors;
mod source;
mod table;
mod write;

pub(crate) use error::DataError;
pub(crate) use source::{Loaded, load};
pub(crate) use write::{save, to_json};

#[cfg(test)]
mod testing {
    //! Files for tests, in a folder that goes away with the test.

    pub(super) struct Folder(tempfile::TempDir);

    impl Folder {
        pub(super) fn new() -> Folder {
            Folder(tempfile::tempdir().unwrap())
        }

        /// The path of a file of that name.
        pub(super) fn path(&self, name: &str) -> String {
            self.0.path().join(name).to_str().unwrap().to_string()
        }

        /// Writes a file and gives its path.
        pub(super) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
            std::fs::write(self.path(name), contents).unwrap();
            self.path(name)
        }

        /// The names of all files, sorted.
        pub(super) fn names(&self) -> Vec<String> {
            let mut names: Vec<String> = std::fs::read_dir(self.0.path())
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }
}
