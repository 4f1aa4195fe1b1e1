//! OpenSSL's names: attributes of distinguished names, algorithms of signatures, dates.

use x509_parser::time::ASN1Time;

/// OpenSSL's short name of an attribute type; its number where there is none.
pub fn short(oid: &str) -> String {
    match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.45" => "x500UniqueIdentifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "2.5.4.97" => "organizationIdentifier",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "1.2.840.113549.1.9.2" => "unstructuredName",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        "1.3.6.1.4.1.311.60.2.1.1" => "jurisdictionL",
        "1.3.6.1.4.1.311.60.2.1.2" => "jurisdictionST",
        "1.3.6.1.4.1.311.60.2.1.3" => "jurisdictionC",
        other => other,
    }
    .to_owned()
}

/// Algorithms of signatures: number, OpenSSL's short name, its long one.
const SIGNATURES: &[(&str, &str, &str)] = &[
    ("1.2.840.113549.1.1.4", "RSA-MD5", "md5WithRSAEncryption"),
    ("1.2.840.113549.1.1.5", "RSA-SHA1", "sha1WithRSAEncryption"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS", "rsassaPss"),
    ("1.2.840.113549.1.1.11", "RSA-SHA256", "sha256WithRSAEncryption"),
    ("1.2.840.113549.1.1.12", "RSA-SHA384", "sha384WithRSAEncryption"),
    ("1.2.840.113549.1.1.13", "RSA-SHA512", "sha512WithRSAEncryption"),
    ("1.2.840.113549.1.1.14", "RSA-SHA224", "sha224WithRSAEncryption"),
    ("1.2.840.10040.4.3", "DSA-SHA1", "dsaWithSHA1"),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1", "ecdsa-with-SHA1"),
    ("1.2.840.10045.4.3.1", "ecdsa-with-SHA224", "ecdsa-with-SHA224"),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256", "ecdsa-with-SHA256"),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384", "ecdsa-with-SHA384"),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512", "ecdsa-with-SHA512"),
    ("1.3.101.112", "ED25519", "ED25519"),
    ("1.3.101.113", "ED448", "ED448"),
];

/// OpenSSL's short name of a signature's algorithm; its number where there is none.
pub fn signature(oid: &str) -> String {
    SIGNATURES.iter().find(|(o, ..)| *o == oid).map_or(oid, |(_, short, _)| short).to_owned()
}

/// The long one.
pub fn signature_long(oid: &str) -> String {
    SIGNATURES.iter().find(|(o, ..)| *o == oid).map_or(oid, |(.., long)| long).to_owned()
}

/// A time as OpenSSL prints it: `Sep 20 16:26:00 2023 GMT`.
pub fn date(at: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // What X.509 has no date for (beyond the year 9999) stays a number.
    let Ok(time) = ASN1Time::from_timestamp(at) else { return at.to_string() };
    let time = time.to_datetime();
    let name = MONTHS[usize::from(u8::from(time.month()) - 1) % 12];
    let (h, m, s) = time.to_hms();
    format!("{name} {:>2} {h:02}:{m:02}:{s:02} {} GMT", time.day(), time.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_openssls() {
        assert_eq!(date(0), "Jan  1 00:00:00 1970 GMT");
        assert_eq!(date(951_782_400), "Feb 29 00:00:00 2000 GMT");
        assert_eq!(date(1_695_227_160), "Sep 20 16:26:00 2023 GMT");
        assert_eq!(date(-1), "Dec 31 23:59:59 1969 GMT");
    }
}
