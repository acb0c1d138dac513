//! The routines of LAPACK for both types of elements. The signatures are LAPACK's.

use super::super::faer::Real;
use std::ffi::{c_char, c_int};

type Char = *const c_char;
type Int = *const c_int;
type IntOut = *mut c_int;

pub(super) type Getrf<T> = unsafe extern "C" fn(Int, Int, *mut T, Int, IntOut, IntOut);
pub(super) type Getri<T> = unsafe extern "C" fn(Int, *mut T, Int, Int, *mut T, Int, IntOut);
pub(super) type Potri<T> = unsafe extern "C" fn(Char, Int, *mut T, Int, IntOut);
pub(super) type Gelqf<T> = unsafe extern "C" fn(Int, Int, *mut T, Int, *mut T, *mut T, Int, IntOut);
pub(super) type Orglq<T> = unsafe extern "C" fn(Int, Int, Int, *mut T, Int, *const T, *mut T, Int, IntOut);
pub(super) type Syevd<T> =
    unsafe extern "C" fn(Char, Char, Int, *mut T, Int, *mut T, *mut T, Int, IntOut, Int, IntOut);
pub(super) type Gesdd<T> = unsafe extern "C" fn(
    Char,
    Int,
    Int,
    *mut T,
    Int,
    *mut T,
    *mut T,
    Int,
    *mut T,
    Int,
    *mut T,
    Int,
    IntOut,
    IntOut,
);

/// The routines on one type of elements.
pub(in crate::lib_ops::engine) trait Lapack: Real {
    const GETRF: Getrf<Self>;
    const GETRI: Getri<Self>;
    const POTRI: Potri<Self>;
    const GELQF: Gelqf<Self>;
    const ORGLQ: Orglq<Self>;
    const SYEVD: Syevd<Self>;
    const GESDD: Gesdd<Self>;
}

impl Lapack for f32 {
    const GETRF: Getrf<f32> = lapack_sys::sgetrf_;
    const GETRI: Getri<f32> = lapack_sys::sgetri_;
    const POTRI: Potri<f32> = lapack_sys::spotri_;
    const GELQF: Gelqf<f32> = lapack_sys::sgelqf_;
    const ORGLQ: Orglq<f32> = lapack_sys::sorglq_;
    const SYEVD: Syevd<f32> = lapack_sys::ssyevd_;
    const GESDD: Gesdd<f32> = lapack_sys::sgesdd_;
}

impl Lapack for f64 {
    const GETRF: Getrf<f64> = lapack_sys::dgetrf_;
    const GETRI: Getri<f64> = lapack_sys::dgetri_;
    const POTRI: Potri<f64> = lapack_sys::dpotri_;
    const GELQF: Gelqf<f64> = lapack_sys::dgelqf_;
    const ORGLQ: Orglq<f64> = lapack_sys::dorglq_;
    const SYEVD: Syevd<f64> = lapack_sys::dsyevd_;
    const GESDD: Gesdd<f64> = lapack_sys::dgesdd_;
}
