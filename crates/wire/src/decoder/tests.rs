use proptest::prelude::*;

use super::*;
use crate::encoder::Encoder;

const CLASSIC: Layout = Layout { version: 1, flexible: false };
const FLEXIBLE: Layout = Layout { version: 1, flexible: true };

fn decoder(bytes: &'static [u8], layout: Layout) -> Decoder {
    let mut d = Decoder::new(Bytes::from_static(bytes));
    d.begin("Test", layout);
    d
}

proptest! {
    #[test]
    fn a_varint_reads_as_it_was_written(value: u32) {
        let mut e = Encoder::new();
        e.varint(value);
        let mut d = Decoder::new(e.finish().expect("small").to_body());
        prop_assert_eq!(d.varint(), Ok(value));
        prop_assert!(d.finish().is_ok());
    }
}

#[test]
fn a_varint_of_more_than_32_bits_is_refused() {
    assert_eq!(decoder(&[0xff, 0xff, 0xff, 0xff, 0x0f], FLEXIBLE).varint(), Ok(u32::MAX));
    assert!(matches!(
        decoder(&[0xff, 0xff, 0xff, 0xff, 0x1f], FLEXIBLE).varint(),
        Err(DecodeError::Varint { .. })
    ));
    assert!(matches!(decoder(&[0x80; 6], FLEXIBLE).varint(), Err(DecodeError::Varint { .. })));
    assert!(matches!(decoder(&[0x80; 2], FLEXIBLE).varint(), Err(DecodeError::Short { .. })));
}

#[test]
fn an_error_says_where() {
    let error = decoder(&[0, 5, b'a', b'b'], CLASSIC).text().expect_err("short");
    assert_eq!(error.to_string(), "Test at byte 2: 5 bytes are needed, 2 are left");
}

#[test]
fn a_count_that_cannot_be_true_reserves_nothing() {
    // Three bytes are left, and four of i32 are claimed.
    let error = decoder(&[0, 0, 0, 4, 1, 2, 3], CLASSIC).vec::<i32>().expect_err("short");
    assert_eq!(
        error,
        DecodeError::Short { at: Place { message: "Test", field: "", offset: 4 }, needed: 16, left: 3 }
    );
}

#[test]
fn an_array_that_costs_more_than_its_bytes_justify_is_refused() {
    let array_of_arrays = |count: &[u8], elements: Vec<u8>, layout| {
        let mut d = Decoder::new(Bytes::from([count, &elements].concat()));
        d.begin("Test", layout);
        d.vec::<Vec<i32>>()
    };
    // 40,000 empty arrays, each 24 bytes in memory: 6 times what they take in a classic version.
    assert!(array_of_arrays(&40_000_u32.to_be_bytes(), vec![0; 160_000], CLASSIC).is_ok());
    let refused = array_of_arrays(&[0xc1, 0xb8, 0x02], vec![1; 40_000], FLEXIBLE);
    assert!(matches!(refused, Err(DecodeError::TooLarge { needed: 960_000, .. })));
}

#[test]
fn a_length_below_null_is_refused() {
    assert!(matches!(decoder(&[0xff, 0xfe], CLASSIC).text(), Err(DecodeError::Length { length: -2, .. })));
    assert_eq!(decoder(&[0xff, 0xff], CLASSIC).text(), Ok(None));
    assert_eq!(decoder(&[0], FLEXIBLE).text(), Ok(None));
    assert!(matches!(Text::read(&mut decoder(&[0], FLEXIBLE)), Err(DecodeError::Null { .. })));
}

#[test]
fn a_text_is_never_longer_than_kafka_allows() {
    // A varint of 32,768 + 1.
    let input = [0x81, 0x80, 0x02].into_iter().chain([b'a'; 0x8000]).collect::<Vec<_>>();
    let mut d = Decoder::new(Bytes::from(input));
    d.begin("Test", FLEXIBLE);
    assert!(matches!(d.text(), Err(DecodeError::Length { length: 0x8000, .. })));
}

#[test]
fn text_that_is_not_utf8_is_read_as_kafka_reads_it() {
    let text = decoder(&[0, 4, b'c', b'a', b'f', 0xe9], CLASSIC).text().expect("read").expect("not null");
    assert_eq!(text, *"caf\u{fffd}");
    let input = [0x2a, 0xab].into_iter().chain([0xff; 0x2aab]).collect::<Vec<_>>();
    let mut d = Decoder::new(Bytes::from(input));
    assert!(
        matches!(d.text(), Err(DecodeError::Length { length: 0x8001, .. })),
        "too long once it is replaced"
    );
}

#[test]
fn bytes_are_a_slice_of_the_input() {
    let input = Bytes::from(vec![0, 0, 0, 2, 7, 8]);
    let mut d = Decoder::new(input.clone());
    let bytes = d.bytes().expect("read").expect("not null");
    assert_eq!(bytes.as_ptr(), input.slice(4..).as_ptr());
}

#[test]
fn a_tagged_field_must_fill_what_it_says() {
    let read_i16 = |d: &mut Decoder, tag: u32| if tag == 1 { i16::read(d).map(|_| true) } else { Ok(false) };
    // Tag 1 of two bytes, tag 9 of three.
    assert_eq!(decoder(&[2, 1, 2, 0, 0, 9, 3, 0, 0, 0], FLEXIBLE).tags(read_i16), Ok(()));
    let long = decoder(&[1, 1, 3, 0, 0, 0], FLEXIBLE).tags(read_i16);
    assert!(matches!(long, Err(DecodeError::Tag { said: 3, read: 2, .. })));
    // What is in the frame but not in the field is not the field's.
    let short = decoder(&[1, 1, 1, 0, 0], FLEXIBLE).tags(read_i16);
    assert!(matches!(short, Err(DecodeError::Short { needed: 2, left: 1, .. })));
}
