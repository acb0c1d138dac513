//! Code as text, line by line with what of the loop IR each line is for.

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Mnemonic};
use matex_ir::loops::InstId;
use std::ops::Range;

/// A line, and the instruction of the loop IR that it is for, where it is for one.
pub type Line = (String, Option<InstId>);

/// Bytes of machine code that are for an instruction of the loop IR.
pub(crate) type Mark = (Range<u32>, InstId);

/// The instructions of a function for x86-64, with their places in it. Marks come in order. Constants may lie behind the
/// code, which ends with an instruction that leads nowhere on, behind everything that was jumped to.
pub(crate) fn disassembled(bytes: &[u8], marks: &[Mark]) -> Vec<Line> {
    let mut formatter = GasFormatter::new();
    let (mut lines, mut furthest) = (Vec::new(), 0);
    for i in &mut Decoder::new(64, bytes, DecoderOptions::NONE) {
        let mut text = String::new();
        formatter.format(&i, &mut text);
        let at = i.ip() as u32;
        let mark = marks[..marks.partition_point(|(r, _)| r.start <= at)].last();
        let of = mark.filter(|(r, _)| at < r.end).map(|(_, of)| *of);
        lines.push((format!("{at:5x}: {text}"), of));
        furthest = furthest.max(i.near_branch_target());
        let ends = matches!(i.mnemonic(), Mnemonic::Ret | Mnemonic::Jmp | Mnemonic::Ud2);
        if ends && furthest < i.next_ip() {
            break;
        }
    }
    lines
}

/// Where source locations begin in lines of Cranelift's IR that has some, and how far other lines are moved for them.
const PREFIX: usize = 32;

/// Cranelift's IR whose source locations are instructions of the loop IR.
pub(crate) fn clif_lines(text: &str) -> Vec<Line> {
    text.lines().map(clif_line).collect()
}

fn clif_line(line: &str) -> Line {
    let of = line.strip_prefix('@').and_then(|l| u32::from_str_radix(l.split(' ').next()?, 16).ok());
    let moved = line.get(..PREFIX).is_some_and(|p| of.is_some() || p.trim().is_empty());
    let text = if moved { &line[PREFIX..] } else { line };
    // What stands under a location is indented as before.
    let text = if of.is_some() { format!("    {}", text.trim_start()) } else { text.to_owned() };
    (text, of.map(InstId))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_ends_before_its_constants() {
        // test edi, edi; je +1; ret; ud2, and bytes that are none of it.
        let code = [0x85, 0xff, 0x74, 0x01, 0xc3, 0x0f, 0x0b, 0x3f, 0xf0, 0x00];
        let marks = [(0..2, InstId(3)), (5..7, InstId(1))];
        let lines = disassembled(&code, &marks);
        let of: Vec<_> = lines.iter().map(|(_, of)| of.map(|i| i.0)).collect();
        assert_eq!(of, [Some(3), None, None, Some(1)], "{lines:?}");
        assert!(lines[3].0.ends_with("ud2"), "{lines:?}");
    }

    #[test]
    fn locations_are_taken_out_of_lines() {
        let line = format!("{:36}v3 = fadd v1, v2", "@0007 ");
        assert_eq!(clif_line(&line), ("    v3 = fadd v1, v2".to_owned(), Some(InstId(7))));
        let line = format!("{:36}jump block2", "");
        assert_eq!(clif_line(&line), ("    jump block2".to_owned(), None));
        assert_eq!(clif_line("function u0:0() {"), ("function u0:0() {".to_owned(), None));
    }
}
