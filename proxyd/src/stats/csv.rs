//! `show stat` as CSV, typed lines and JSON, and the JSON of `show info`. Pure: rows in, text out.

use super::descriptions::DESCRIPTIONS;
use super::fields::{COMMON, FIELDS, FieldRow, column, tag_word};
use super::rows::{Cell, Row, RowKind};
use std::fmt::Write;

/// The header line and one line a row. A `-` stands between the common columns and the modules'.
pub fn csv(rows: &[Row]) -> String {
    let mut out = String::from("# ");
    for (i, field) in FIELDS.iter().enumerate() {
        if i == COMMON {
            out.push_str("-,");
        }
        out.push_str(field.name);
        out.push(',');
    }
    out.push('\n');
    for row in rows {
        for (i, cell) in row.cells.iter().enumerate() {
            if i == COMMON {
                out.push_str("-,");
            }
            match cell {
                None => {}
                Some(Cell::Num(n)) => drop(write!(out, "{n}")),
                Some(Cell::Int(n)) => drop(write!(out, "{n}")),
                Some(Cell::Text(s)) => csv_text(&mut out, s),
            }
            out.push(',');
        }
        out.push('\n');
    }
    out
}

/// Quotes a text where CSV needs it (RFC 4180).
fn csv_text(out: &mut String, text: &str) {
    if !text.contains(['"', ',', '\r', '\n']) {
        return out.push_str(text);
    }
    out.push('"');
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

/// `F.2.0.0.pxname.1:KNS:str:web`, one line a cell; with what it means where that is
/// asked for.
pub fn typed(rows: &[Row], described: bool) -> String {
    let mut out = String::new();
    for row in rows {
        for (i, cell) in row.cells.iter().enumerate() {
            let Some(cell) = cell else { continue };
            let FieldRow { name, tags, value_type } = field_of(row.kind, i);
            let (iid, sid) = row.ids;
            let kind = letter(row.kind);
            let value_type = value_type.name();
            let _ = write!(out, "{kind}.{iid}.{sid}.{i}.{name}.1:{tags}:{value_type}:{}", plain(cell));
            if described {
                let _ = write!(out, ":\"{}\"", DESCRIPTIONS[i]);
            }
            out.push('\n');
        }
    }
    out
}

/// A column as rows of this kind tag it: some that are settings of a server are measured of a backend.
fn field_of(kind: RowKind, index: usize) -> FieldRow {
    let field = FIELDS[index];
    match field.name {
        "act" | "bck" | "rate" | "rate_max" if kind == RowKind::Backend => FieldRow { tags: "MGP", ..field },
        _ => field,
    }
}

/// Takes out of rows what only those see who may see addresses: everybody on a stats socket, on a page those of
/// `stats show-legends`.
pub fn without_legends(rows: &mut [Row]) {
    const HIDDEN: [usize; 3] = [column("addr"), column("cookie"), column("algo")];
    for row in rows {
        for index in HIDDEN {
            row.cells[index] = None;
        }
    }
}

fn letter(kind: RowKind) -> char {
    match kind {
        RowKind::Frontend => 'F',
        RowKind::Backend => 'B',
        RowKind::Server => 'S',
        RowKind::Listener => 'L',
    }
}

fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Num(n) => n.to_string(),
        Cell::Int(n) => n.to_string(),
        Cell::Text(s) => s.clone(),
    }
}

/// One JSON array of an array a row.
pub fn json(rows: &[Row]) -> String {
    let mut out = String::from("[");
    for (n, row) in rows.iter().enumerate() {
        out.push_str(if n == 0 { "[" } else { ",[" });
        let object = match row.kind {
            RowKind::Frontend => "Frontend",
            RowKind::Backend => "Backend",
            RowKind::Server => "Server",
            RowKind::Listener => "Listener",
        };
        let mut first = true;
        for (i, cell) in row.cells.iter().enumerate() {
            let Some(cell) = cell else { continue };
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            let (iid, sid) = row.ids;
            let _ = write!(out, "{{\"objType\":\"{object}\",\"proxyId\":{iid},\"id\":{sid},");
            json_cell(&mut out, i, &field_of(row.kind, i), cell);
            out.push('}');
        }
        out.push(']');
    }
    out.push(']');
    out
}

/// `"field":{…},"processNum":1,"tags":{…},"value":{…}` of one value.
pub fn json_cell(out: &mut String, position: usize, field: &FieldRow, cell: &Cell) {
    let tag = |place: usize| tag_word(place, field.tags.as_bytes()[place] as char);
    let _ = write!(
        out,
        "\"field\":{{\"pos\":{position},\"name\":\"{}\"}},\"processNum\":1,\"tags\":{{\"origin\":\"{}\",\
         \"nature\":\"{}\",\"scope\":\"{}\"}},\"value\":{{\"type\":\"{}\",\"value\":",
        field.name,
        tag(0),
        tag(1),
        tag(2),
        field.value_type.name()
    );
    match cell {
        Cell::Num(n) => drop(write!(out, "{n}}}")),
        Cell::Int(n) => drop(write!(out, "{n}}}")),
        Cell::Text(s) => drop(write!(out, "{}}}", serde_json::Value::from(s.as_str()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::ProxyId;

    fn row() -> Row {
        let mut cells = vec![None; FIELDS.len()];
        cells[0] = Some(Cell::Text("a,b".into()));
        cells[1] = Some(Cell::Text("say \"x\"".into()));
        cells[4] = Some(Cell::Num(7));
        cells[55] = Some(Cell::Int(-1));
        Row { kind: RowKind::Server, proxy: ProxyId(0), index: 0, ids: (2, 3), cells, status: None }
    }

    #[test]
    fn csv_quotes_and_keeps_every_column() {
        let text = csv(&[row()]);
        let mut lines = text.lines();
        let header = lines.next().unwrap();
        assert!(header.starts_with("# pxname,svname,qcur,"));
        let line = lines.next().unwrap();
        assert!(line.starts_with("\"a,b\",\"say \"\"x\"\"\",,,7,"), "{line}");
        assert!(header.ends_with("agg_check_status,-,ssl_sess,ssl_reused_sess,ssl_failed_handshake,h2_headers_rcvd,h2_data_rcvd,h2_settings_rcvd,h2_rst_stream_rcvd,h2_goaway_rcvd,h2_detected_conn_protocol_errors,h2_detected_strm_protocol_errors,h2_rst_stream_resp,h2_goaway_resp,h2_open_connections,h2_backend_open_streams,h2_total_connections,h2_backend_total_streams,h1_open_connections,h1_open_streams,h1_total_connections,h1_total_streams,h1_bytes_in,h1_bytes_out,h1_spliced_bytes_in,h1_spliced_bytes_out,"));
    }

    #[test]
    fn typed_lines_and_json_name_the_same_cells() {
        assert_eq!(DESCRIPTIONS.len(), FIELDS.len());
        let described = typed(&[row()], true);
        assert!(described.contains("scur.1:MGP:u32:7:\"Number of current sessions on"), "{described}");
        let typed = typed(&[row()], false);
        assert!(typed.contains("S.2.3.4.scur.1:MGP:u32:7\n"), "{typed}");
        assert!(typed.contains("S.2.3.55.lastsess.1:MAP:s32:-1\n"));
        let json: serde_json::Value = serde_json::from_str(&json(&[row()])).unwrap();
        assert_eq!(json[0].as_array().unwrap().len(), 4);
        assert_eq!(json[0][1]["value"]["value"], "say \"x\"");
        assert_eq!(json[0][2]["tags"]["nature"], "Gauge");
    }
}
