//! The results of a call.

use crate::error::{Error, internal};
use crate::warning::Warning;
use matex_lang::{Diagnostic, codes};
use matex_runtime::Tensor;
use std::ops::Deref;
use std::sync::Arc;

/// The results of a call, in the order in which the program returns them; a slice of [`Tensor`]s with names, or of
/// [`DeviceTensor`](crate::DeviceTensor)s.
///
/// ```
/// let f = matex::compile("{ m = mean(x); s = sum(x); return m, s }")?;
/// let out = f.call(&[&[1.0, 2.0, 6.0]])?;
/// assert_eq!(out.len(), 2);
/// assert_eq!(out[0].to_string(), "3.0");
/// assert_eq!(out.names(), ["m", "s"]);
/// # Ok::<(), matex::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Outputs<T = Tensor> {
    tensors: Vec<T>,
    names: Arc<[String]>,
    warnings: Vec<Warning>,
}

impl<T> Outputs<T> {
    pub(crate) fn new(
        tensors: Vec<T>,
        names: Arc<[String]>,
        warnings: Vec<Warning>,
    ) -> Result<Outputs<T>, Error> {
        if tensors.len() != names.len() {
            return Err(Error::plain(internal("a call has another number of results than its program")));
        }
        Ok(Outputs { tensors, names, warnings })
    }

    /// The same results as something else.
    pub(crate) fn try_map<U>(&self, f: impl Fn(&T) -> Result<U, Error>) -> Result<Outputs<U>, Error> {
        let tensors = self.tensors.iter().map(f).collect::<Result<_, _>>()?;
        Ok(Outputs { tensors, names: self.names.clone(), warnings: self.warnings.clone() })
    }

    /// The names of the results: those of the variables returned, else `out0`, `out1`, …; no two are the same.
    ///
    /// ```
    /// let out = matex::compile("(x + 1, x + 2)")?.call(&[&1])?;
    /// assert_eq!(out.names(), ["out0", "out1"]);
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What there is to know about results that are given all the same: systems that are nearly singular, and
    /// least-squares problems that have many solutions. One for each place of the program, the first one first.
    ///
    /// Typed calls and calls into given memory have nowhere to put them, and do not look for what they would tell;
    /// neither does the reference interpreter.
    ///
    /// ```
    /// let f = matex::compile("inv(A)")?;
    /// assert!(f.call(&[&[[1.0, 2.0], [3.0, 4.0]]])?.warnings().is_empty());
    /// let out = f.call(&[&[[1.0, 1.0], [1.0, 1.0 + 2e-16]]])?;
    /// assert!(out.warnings()[0].to_string().starts_with("warning[E0709]: the matrix is nearly singular"));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The result of that name.
    ///
    /// ```
    /// let out = matex::compile("{ s = sum(x); return s }")?.call(&[&[1, 2, 3]])?;
    /// assert_eq!(out.get("s").unwrap().to_string(), "6");
    /// assert!(out.get("t").is_none());
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn get(&self, name: &str) -> Option<&T> {
        self.names.iter().position(|n| n == name).and_then(|i| self.tensors.get(i))
    }

    /// The result of a program that has one.
    ///
    /// # Errors
    /// E0509 when there are several.
    ///
    /// ```
    /// let tensor = matex::compile("x * 2")?.call(&[&[1.5, 2.0]])?.into_single()?;
    /// assert_eq!(tensor.as_slice::<f64>(), Some(&[3.0, 4.0][..]));
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn into_single(mut self) -> Result<T, Error> {
        match self.tensors.pop() {
            Some(tensor) if self.tensors.is_empty() => Ok(tensor),
            Some(_) | None => {
                let message = format!("one result was expected, and there are {}", self.names.len());
                Err(Error::plain(
                    Diagnostic::new(codes::CALL_OUTPUT, message).help("take them by place or by name"),
                ))
            }
        }
    }

    /// The tensors, without their names.
    ///
    /// ```
    /// let tensors = matex::compile("(x, x + 1)")?.call(&[&1])?.into_tensors();
    /// assert_eq!(tensors[1].to_string(), "2");
    /// # Ok::<(), matex::Error>(())
    /// ```
    pub fn into_tensors(self) -> Vec<T> {
        self.tensors
    }
}

impl<T> Deref for Outputs<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.tensors
    }
}

impl<T> IntoIterator for Outputs<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Outputs<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.iter()
    }
}

/// The names of results: where the source gives none, or one twice, the place tells it.
pub(crate) fn names(given: &[Option<String>], count: usize) -> Arc<[String]> {
    let mut names: Vec<String> = Vec::with_capacity(count);
    for i in 0..count {
        let name = given.get(i).and_then(Option::as_ref).filter(|n| !names.contains(n)).cloned();
        let mut name = name.unwrap_or_else(|| format!("out{i}"));
        // A variable may be called `out1` and returned first.
        while names.contains(&name) {
            name.push('_');
        }
        names.push(name);
    }
    names.into()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_are_unique() {
        let given = [Some("a"), None, Some("a"), Some("out4"), None].map(|n| n.map(String::from));
        assert_eq!(names(&given, 5)[..], ["a", "out1", "out2", "out4", "out4_"]);
        assert_eq!(names(&[], 1)[..], ["out0"]);
    }
}
