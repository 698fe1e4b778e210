use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use mcp_core::{SeamError, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, Prepared, Refusal, Rule, Sight, in_field};
use crate::pointer::Pointer;

/// What stands at `path` is text of the form `format`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Format {
    /// Where.
    pub path: String,
    /// Which form.
    pub format: FormatName,
}

/// A form of text that many agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FormatName {
    /// A mailbox of RFC 5321, section 4.1.2, with a dotted local part and a host name; neither quotes nor address literals.
    Email,
    /// An absolute URI of RFC 3986, with or without a fragment.
    Uri,
    /// 32 hexadecimal digits in either case, grouped 8-4-4-4-12 (RFC 9562).
    Uuid,
    /// `full-date` of RFC 3339: `2026-02-28`.
    Date,
    /// `date-time` of RFC 3339, leap seconds included.
    DateTime,
    /// Four decimal numbers without leading zeros.
    Ipv4,
    /// RFC 4291, section 2.2, without a zone.
    Ipv6,
    /// RFC 1123, section 2.1: at most 253 letters, digits, hyphens and dots, at most 63 between dots.
    Hostname,
    /// Semantic versioning 2.0.0.
    Semver,
    /// A licence expression of SPDX, such as `MIT OR Apache-2.0`, of identifiers that are listed there, deprecated ones included.
    #[serde(alias = "spdx-license", alias = "spdx-expression")]
    Spdx,
}

impl FormatName {
    /// Whether `text` is of this form.
    #[must_use]
    pub fn admits(self, text: &str) -> bool {
        match self {
            Self::Email => is_email(text),
            Self::Uri => is_uri(text),
            Self::Uuid => is_uuid(text),
            Self::Date => is_date(text),
            Self::DateTime => is_date_time(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Hostname => is_hostname(text),
            Self::Semver => text.parse::<Version>().is_ok(),
            Self::Spdx => super::spdx_expression::is_expression(text),
        }
    }
}

impl fmt::Display for FormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Email => "email",
            Self::Uri => "uri",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::DateTime => "date-time",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Hostname => "hostname",
            Self::Semver => "semver",
            Self::Spdx => "spdx",
        })
    }
}

impl Rule {
    /// What stands at `path` is text of the form `format`.
    #[must_use]
    pub fn format(name: impl Into<String>, path: impl Into<String>, format: FormatName) -> Self {
        Self::new(name, Check::Format(Format { path: path.into(), format }))
    }
}

impl Format {
    pub(super) fn prepare(&self) -> Result<Box<dyn Prepared>, Refusal> {
        Ok(Box::new(Ready {
            path: Pointer::parse(&self.path).map_err(in_field("path"))?,
            format: self.format,
        }))
    }
}

struct Ready {
    path: Pointer,
    format: FormatName,
}

impl Prepared for Ready {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        self.path.visit(root, sight, &mut |sight, path, value| {
            let Some(value) = value else { return Ok(()) };
            if let Value::String(text) = value {
                sight.spend_text(text)?;
            }
            if !value.as_str().is_some_and(|text| self.format.admits(text)) {
                sight.found(path, Some(value), || format!("expected text of the format {}", self.format));
            }
            Ok(())
        })
    }
}

fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    local.len() <= 64 && local.split('.').all(atom) && is_hostname(host)
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_uuid(text: &str) -> bool {
    fits(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
}

/// Whether every byte is what the byte of `shape` asks for: `0` a digit, `x` a hexadecimal digit, others themselves.
fn fits(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, asked)| match asked {
            b'0' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_hexdigit(),
            other => byte == other,
        })
}

/// The decimal number at `start..end` of a text that [`fits`].
fn decimal(text: &str, start: usize, end: usize) -> u32 {
    text.get(start..end).and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX)
}

fn is_date(text: &str) -> bool {
    if !fits(text, "0000-00-00") {
        return false;
    }
    let (year, month, day) = (decimal(text, 0, 4), decimal(text, 5, 7), decimal(text, 8, 10));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// RFC 3339, section 5.6; a second of 60 only at the end of a minute that ends a day in UTC.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_at_checked(10) else { return false };
    let Some((time, rest)) = time.split_at_checked(9) else { return false };
    if !is_date(date) || !(fits(time, "T00:00:00") || fits(time, "t00:00:00")) {
        return false;
    }
    let offset = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
    };
    let (hour, minute, second) = (decimal(time, 1, 3), decimal(time, 4, 6), decimal(time, 7, 9));
    let (offset_hour, offset_minute) = match offset {
        "Z" | "z" => (0, 0),
        numeric if fits(numeric, "+00:00") || fits(numeric, "-00:00") => {
            (decimal(numeric, 1, 3), decimal(numeric, 4, 6))
        }
        _ => return false,
    };
    if hour > 23 || minute > 59 || offset_hour > 23 || offset_minute > 59 {
        return false;
    }
    let (local, offset_minutes) = (hour * 60 + minute, offset_hour * 60 + offset_minute);
    let day = 24 * 60;
    let utc =
        if offset.starts_with('-') { local + offset_minutes } else { local + day - offset_minutes } % day;
    second <= 59 || (second == 60 && utc == day - 1)
}

/// RFC 3986, appendix A: `URI`.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match path.strip_prefix("//") {
        Some(behind) => behind.split_at(behind.find('/').unwrap_or(behind.len())),
        None => ("", path),
    };
    scheme_fits
        && is_authority(authority)
        && consists_of(path, b":@/")
        && consists_of(query, b":@/?")
        && consists_of(fragment, b":@/?")
}

fn is_authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or(("", text));
    let (host_fits, port) = match host.strip_prefix('[') {
        Some(literal) => {
            let Some((address, port)) = literal.split_once(']') else { return false };
            (address.parse::<Ipv6Addr>().is_ok() || is_future_address(address), port)
        }
        None => {
            let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
            (consists_of(name, b""), port)
        }
    };
    let port_fits =
        port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    consists_of(user, b":") && host_fits && port_fits
}

/// RFC 3986, appendix A: `IPvFuture`.
fn is_future_address(text: &str) -> bool {
    let Some((version, address)) = text.strip_prefix(['v', 'V']).and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    let hexadecimal = !version.is_empty() && version.bytes().all(|b| b.is_ascii_hexdigit());
    hexadecimal && !address.is_empty() && !address.contains('%') && consists_of(address, b":")
}

/// Unreserved characters, sub-delimiters, percent-encoded bytes, and `more`.
fn consists_of(text: &str, more: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => {
                [bytes.next(), bytes.next()].iter().all(|digit| digit.is_some_and(|d| d.is_ascii_hexdigit()))
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte) || more.contains(&byte),
        };
        if !fine {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::trial::{findings, paths};
    use super::*;

    /// Every text of the first list is of the format, none of the second is.
    fn check(format: FormatName, admitted: &[&str], refused: &[&str]) {
        for text in admitted {
            assert!(format.admits(text), "{format} should admit {text:?}");
        }
        for text in refused {
            assert!(!format.admits(text), "{format} should refuse {text:?}");
        }
    }

    #[test]
    fn email_takes_a_dotted_local_part_and_a_host() {
        check(
            FormatName::Email,
            &["a@b", "first.last+tag@example.com", "x@127.example", "o'hara@example.org"],
            &[
                "", "a", "@b", "a@", "a@b@c", "a..b@c", ".a@b", "a.@b", "a b@c", "a@-b", "a@b_c", "é@b",
                "a@b.",
            ],
        );
        check(FormatName::Email, &[&format!("{}@b", "a".repeat(64))], &[&format!("{}@b", "a".repeat(65))]);
    }

    #[test]
    fn uri_takes_what_rfc_3986_gives_as_examples() {
        check(
            FormatName::Uri,
            &[
                "ftp://ftp.is.co.za/rfc/rfc1808.txt",
                "http://www.ietf.org/rfc/rfc2396.txt",
                "ldap://[2001:db8::7]/c=GB?objectClass?one",
                "mailto:John.Doe@example.com",
                "news:comp.infosystems.www.servers.unix",
                "tel:+1-816-555-1212",
                "telnet://192.0.2.16:80/",
                "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
                "http://u:p@h:1/a%20b?q=%2f#f",
                "file:///etc/hosts",
                "http://[v1.a:b]:80/",
                "a:",
            ],
            &[
                "",
                "/relative",
                "//host/path",
                "1http://x",
                "http://a b",
                "http://h:port/",
                "http://h/%zz",
                "http://h/a#b#c",
                "http://[::1/",
                "http://[::g]/",
                "http://h/<x>",
                "http://h/é",
                "http://bücher.example/",
                "http://[v.a]/",
                "http://[v1.]/",
                "http://[vz.a]/",
                "http://[v1]/",
                "http://[fe80::1%25eth0]/",
                "http://h/a\\b",
            ],
        );
    }

    #[test]
    fn uuid_has_five_groups_of_hexadecimal_digits() {
        check(
            FormatName::Uuid,
            &["0192f0c1-0000-7000-8000-0123456789ab", "0192F0C1-0000-7000-8000-0123456789AB"],
            &[
                "",
                "0192f0c100007000800001234567 89ab",
                "0192f0c1-0000-7000-8000-0123456789ag",
                "{0192f0c1-0000-7000-8000-0123456789ab}",
                "0192f0c1-0000-7000-80000-123456789ab",
            ],
        );
    }

    #[test]
    fn date_knows_the_lengths_of_months() {
        check(
            FormatName::Date,
            &["2024-02-29", "2000-02-29", "9999-12-31", "0000-01-01"],
            &[
                "2023-02-29",
                "1900-02-29",
                "2026-04-31",
                "2026-00-01",
                "2026-13-01",
                "2026-01-00",
                "2026-1-1",
                "20260101",
                "2026-01-01T00:00:00Z",
                "２026-01-01",
            ],
        );
    }

    #[test]
    fn date_time_takes_offsets_fractions_and_real_leap_seconds() {
        check(
            FormatName::DateTime,
            &[
                "2026-01-02T03:04:05Z",
                "2026-01-02t03:04:05z",
                "2026-01-02T03:04:05.123456789012+14:00",
                "9999-12-31T23:59:59Z",
                "1998-12-31T23:59:60Z",
                "1998-12-31T15:59:60.123-08:00",
                "1999-01-01T00:59:60+01:00",
            ],
            &[
                "2026-01-02",
                "2026-01-02T03:04:05",
                "2026-01-02 03:04:05Z",
                "2026-01-02T24:00:00Z",
                "2026-01-02T03:60:00Z",
                "2026-01-02T03:04:05.Z",
                "2026-01-02T03:04:05+0100",
                "2026-01-02T03:04:05+24:00",
                "2026-02-30T03:04:05Z",
                "1998-12-31T22:59:60Z",
                "1998-12-31T23:59:61Z",
                "1998-12-31T23:59:60+01:00",
            ],
        );
    }

    #[test]
    fn addresses_and_names_of_hosts_are_strict() {
        check(
            FormatName::Ipv4,
            &["0.0.0.0", "255.255.255.255"],
            &["256.0.0.0", "1.2.3", "01.2.3.4", "1.2.3.4.5", " 1.2.3.4"],
        );
        check(
            FormatName::Ipv6,
            &["::", "::1", "2001:db8::7", "::ffff:1.2.3.4"],
            &["", "1::2::3", "fe80::1%eth0", "12345::", "1.2.3.4"],
        );
        check(
            FormatName::Hostname,
            &["a", "example.com", "1.2.3", "xn--bcher-kva.example"],
            &["", "-a", "a-", "a..b", "a.", "a_b", "ä.example"],
        );
        check(FormatName::Hostname, &[&"a".repeat(63)], &[&"a".repeat(64), &vec!["a"; 128].join(".")]);
        check(FormatName::Spdx, &["MIT OR Apache-2.0"], &["MIT/Apache-2.0"]);
        check(FormatName::Semver, &["1.2.3", "1.0.0-rc.1+b"], &["1.2", "v1.2.3", "01.2.3"]);
    }

    #[test]
    fn what_is_no_text_is_found() {
        let rule = || Rule::format("f", "/*", FormatName::Date);
        assert_eq!(paths(rule(), &json!(["2026-01-01", 20260101, null, "x"])), ["/1", "/3"]);
        assert_eq!(findings(rule(), &json!(["x"]))[0].message, "expected text of the format date");
    }
}
