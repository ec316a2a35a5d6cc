/// Names of zones, by their minutes east of Greenwich, as fail2ban takes them: some have several meanings in the world, and none
/// knows summer.
const NAMES: &[(i32, &str)] = &[
    (-720, "Y"),
    (-660, "NUT SST X"),
    (-600, "CKT HAST HST TAHT TKT W"),
    (-570, "MART MIT"),
    (-540, "AKST GAMT GIT HADT HNY V"),
    (-480, "AKDT CIST HAY HNP PST PT U"),
    (-420, "HAP HNR MST PDT T"),
    (-360, "CST EAST GALT HAR HNC MDT S"),
    (-300, "CDT COT EASST ECT EST ET HAC HNE PET R"),
    (-270, "HLV VET"),
    (-240, "AST BOT CLT COST EDT FKT GYT HAE HNA PYT Q"),
    (-210, "HNT NST NT"),
    (-180, "ADT ART BRT CLST FKST GFT HAA P PMST PYST SRT UYT WGT"),
    (-150, "HAT NDT"),
    (-120, "BRST FNT O PMDT UYST WGST"),
    (-60, "AZOT CVT EGT N"),
    (0, "EGST GMT UTC WET WT Z"),
    (60, "A CET DFT WAT WEDT WEST"),
    (120, "B CAT CEDT CEST EET SAST WAST"),
    (180, "C EAT EEDT EEST IDT MSK"),
    (210, "IRST"),
    (240, "AMT AZT D GET GST KUYT MSD MUT RET SAMT SCT"),
    (270, "AFT IRDT"),
    (300, "AMST AQTT AZST E HMT MAWT MVT PKT TFT TJT TMT UZT YEKT"),
    (330, "SLT"),
    (345, "NPT"),
    (360, "ALMT BIOT BTT F IOT KGT NOVT OMST YEKST"),
    (390, "CCT MMT"),
    (420, "CXT DAVT G HOVT ICT KRAT NOVST OMSST THA WIB"),
    (480, "ACT AWST BDT BNT CAST H HKT IRKT KRAST MYT PHT SGT ULAT WITA WST"),
    (540, "AWDT I IRKST JST KST PWT TLT WDT WIT YAKT"),
    (570, "ACST"),
    (600, "AEST ChST K PGT VLAT YAKST YAPT"),
    (630, "ACDT LHST"),
    (660, "AEDT L LHDT MAGT NCT PONT SBT VLAST VUT"),
    (690, "NFT"),
    (720, "ANAST ANAT FJT GILT M MAGST MHT NZST PETST PETT TVT WFT"),
    (780, "FJST NZDT"),
];

/// `Z`, `CET`, `+0100`, `CET+01:00`: minutes east of Greenwich.
pub(super) fn minutes(text: &str) -> Option<i32> {
    let sign = text.find(['+', '-']).unwrap_or(text.len());
    let (name, offset) = text.split_at_checked(sign)?;
    let base = if name.is_empty() { 0 } else { named(name)? };
    if offset.is_empty() {
        return (!name.is_empty()).then_some(base);
    }
    let east = if offset.starts_with('-') { -1 } else { 1 };
    let digits: Vec<i32> = offset
        .chars()
        .filter_map(|letter| letter.to_digit(10))
        .filter_map(|digit| i32::try_from(digit).ok())
        .collect();
    let (hours, minutes) = match *digits.as_slice() {
        [a, b] => (a * 10 + b, 0),
        [a, b, c, d] => (a * 10 + b, c * 10 + d),
        _ => return None,
    };
    Some(base + east * (hours * 60 + minutes))
}

fn named(name: &str) -> Option<i32> {
    NAMES.iter().find(|(_, names)| names.split(' ').any(|other| other == name)).map(|(minutes, _)| *minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_names_or_numbers() {
        for (text, expected) in [
            ("Z", Some(0)),
            ("UTC", Some(0)),
            ("CEST", Some(120)),
            ("-0130", Some(-90)),
            ("+01:00", Some(60)),
            ("+02", Some(120)),
            ("CET+0100", Some(120)),
            ("XYZ", None),
            ("", None),
        ] {
            assert_eq!(minutes(text), expected, "{text}");
        }
    }
}
