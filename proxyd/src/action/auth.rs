//! Userlists: who a request says it is, and whether that is true.
//!
//! Invariant: a comparison of clear passwords takes the same time for every wrong one.

use crate::config::model::{User, Userlist};
use crate::fetch::header::basic;
use crate::fetch::line::request;
use crate::sample::args::at;
use crate::sample::expr::Cursor;
use crate::sample::{Arg, Value};
use crate::stream::view::View;

fn list(arg: &Arg) -> Option<&Userlist> {
    match arg {
        Arg::Userlist(slot) => slot.list.get().map(|l| &**l),
        _ => None,
    }
}

/// The user whose name and password the request has, in a list.
fn user<'l>(list: &'l Userlist, name: &[u8], password: &[u8]) -> Option<&'l User> {
    let user = list.users.get(std::str::from_utf8(name).ok()?)?;
    let good = if user.insecure {
        aws_lc_rs::constant_time::verify_slices_are_equal(user.password.as_bytes(), password).is_ok()
    } else {
        pwhash::unix::verify(password, &user.password)
    };
    good.then_some(user)
}

/// `http_auth(LIST)`: whether the request has a user of the list with the right password.
pub fn check<'v>(view: &'v View<'_>, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    let list = list(at(args, 0))?;
    let (name, password) = basic(request(view, cursor)?)?;
    Some(Value::Bool(user(list, &name, &password).is_some()))
}

/// `http_auth_group(LIST)`: the groups of that user, one after the other.
pub fn groups<'v>(view: &'v View<'_>, args: &'v [Arg], cursor: &mut Cursor) -> Option<Value<'v>> {
    let list = list(at(args, 0))?;
    let (name, password) = basic(request(view, cursor)?)?;
    let user = user(list, &name, &password)?;
    let group = user.groups.get(cursor.at)?;
    cursor.at += 1;
    cursor.more = cursor.at < user.groups.len();
    Some(Value::str(group.as_str()))
}
