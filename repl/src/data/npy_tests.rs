//! Tests of reading .npy files.

use super::super::testing::Folder;
use super::*;
use matex_ir::Scalar;

fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    bytes.extend(data);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Tensor, DataError> {
    read("t.npy", bytes, bytes.len() as u64)
}

#[test]
fn every_dtype_survives_a_round_trip() {
    for dtype in DType::ALL {
        let values = [0.0, 1.0, 1.0, 0.0, 1.0, 1.0].map(|v| Scalar::from_f64(dtype, v));
        for shape in [&[6][..], &[2, 3], &[1, 6, 1]] {
            let tensor = Tensor::from_scalars(dtype, shape, values).unwrap();
            let mut bytes = Vec::new();
            write(&mut bytes, &tensor).unwrap();
            let back = parse(&bytes).unwrap();
            assert_eq!(
                bytes.len() - back.len() * back.dtype().size(),
                128 - 64 * usize::from(bytes[8] < 100)
            );
            let expected = if dtype == DType::BF16 { tensor.cast(DType::F32).unwrap() } else { tensor };
            assert_eq!(back, expected);
        }
    }
}

#[test]
fn rank_0_and_empty() {
    let mut bytes = Vec::new();
    write(&mut bytes, &Tensor::from(2.5)).unwrap();
    assert_eq!(parse(&bytes).unwrap(), Tensor::from(2.5));
    bytes.clear();
    let empty = Tensor::zeros(DType::F32, &[0, 3]).unwrap();
    write(&mut bytes, &empty).unwrap();
    assert_eq!(parse(&bytes).unwrap(), empty);
    assert_eq!(parse(&npy("'<f8'", false, "(0, 4611686018427387904)", &[])).unwrap().len(), 0);
}

#[test]
fn byte_order_and_fortran_order() {
    let big: Vec<u8> = (1..=6i16).flat_map(i16::to_be_bytes).collect();
    let t = parse(&npy("'>i2'", true, "(2, 3)", &big)).unwrap();
    assert_eq!(t.to_vec::<i16>(), Ok(vec![1, 3, 5, 2, 4, 6]));
    let little: Vec<u8> = (1..=6i16).flat_map(i16::to_le_bytes).collect();
    let t = parse(&npy("'<i2'", false, "(2L, 3L)", &little)).unwrap();
    assert_eq!(t.to_vec::<i16>(), Ok(vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(parse(&npy("'<V2'", false, "()", &[0xc0, 0x3f])).unwrap().to_string(), "1.5");
}

#[test]
fn sizes_are_checked_before_anything_is_allocated() {
    for shape in
        ["(1152921504606846976,)", "(4294967296, 4294967296, 4)", "(6,)", "(99999999999999999999999,)"]
    {
        let e = parse(&npy("'<f8'", false, shape, &[0; 40])).unwrap_err();
        assert_eq!(e.code, codes::FILE_MALFORMED, "{shape}");
    }
    let many_axes = format!("({})", "1, ".repeat(100));
    assert_eq!(parse(&npy("'<f8'", false, &many_axes, &[0; 8])).unwrap_err().code, codes::FILE_MALFORMED);
    let zero_and_huge = "(0, 9223372036854775807, 9223372036854775807)";
    assert!(parse(&npy("'<f8'", false, zero_and_huge, &[])).is_err());
}

#[test]
fn what_is_not_numbers_is_refused_by_name() {
    let cases = [
        ("'|O'", "Python objects"),
        ("'<c16'", "complex"),
        ("'<U3'", "strings"),
        ("'<M8[ns]'", "dates"),
        ("[('a', '<f8', (2,)), ('b', [('c', '<i4')])]", "records"),
        ("'<f16'", "unsupported"),
    ];
    for (descr, what) in cases {
        let e = parse(&npy(descr, false, "(1,)", &[0; 64])).unwrap_err();
        assert_eq!(e.code, codes::FILE_DTYPE);
        assert!(e.message.contains(what), "{}", e.message);
    }
    assert!(parse(&npy("'|b1'", false, "(1,)", &[7])).unwrap_err().message.contains("found 7"));
}

#[test]
fn every_truncation_and_every_broken_byte_is_an_error_or_an_array() {
    let whole = npy("'<f8'", false, "(5,)", &[0; 40]);
    for end in 0..whole.len() {
        assert_eq!(parse(&whole[..end]).unwrap_err().code, codes::FILE_MALFORMED, "{end}");
    }
    for at in 0..whole.len() {
        for byte in [0, b'9', b'[', b'(', b'{', b'\'', 0xff] {
            let mut broken = whole.clone();
            broken[at] = byte;
            let _ = parse(&broken);
        }
    }
}

#[test]
fn a_file_has_no_keys() {
    let folder = Folder::new();
    let path = folder.file("a.npy", npy("'<f8'", false, "(1,)", &[0; 8]));
    assert_eq!(load(&path, None).unwrap().describe(), "f64[1]");
    assert_eq!(load(&path, Some("x")).unwrap_err().code, codes::ARRAY_NOT_IN_FILE);
}
