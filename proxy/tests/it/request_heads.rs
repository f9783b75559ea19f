//! Request heads that RFC 9112 §2.2, §3 and §5 don't allow: each is refused, and nothing of it
//! reaches the backend.

use crate::support::{assert_refused_unseen, table};

#[test]
fn line_ends_and_folds() {
    let text = r"
bare LF throughout | GET / HTTP/1.1\nHost: a\n\n
bare LF after the request line | GET / HTTP/1.1\nHost: a\r\n\r\n
bare LF after a field | GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n
bare LF as the empty line | GET / HTTP/1.1\r\nHost: a\r\n\n
bare CR throughout | GET / HTTP/1.1\rHost: a\r\r\n\r\n
CR CR LF | GET / HTTP/1.1\r\nHost: a\r\r\n\r\n
bare CR in the request line | GET /\r HTTP/1.1\r\nHost: a\r\n\r\n
bare CR in a value | GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n
bare CR that hides a field | GET / HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 5\r\n\r\n
bare CR in a name | GET / HTTP/1.1\r\nHost: a\r\nX\rY: a\r\n\r\n
a fold with a space | GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n
a fold with a tab | GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n
a fold that hides a length | GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n Content-Length: 5\r\n\r\n
a fold of nothing | GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n \r\n\r\n
a fold of the request line | GET / HTTP/1.1\r\n Host: a\r\n\r\n
";
    assert_refused_unseen(&table("", text, "", &[400]));
}

#[test]
fn field_names_and_values() {
    let text = r#"
a space before the colon | X : a
a tab before the colon | X\t: a
a space in the name | X Y: a
no name | : a
no colon | X
only a colon | :
a NUL in the name | X\0: a
a bracket in the name | X(Y): a
an at sign in the name | X@Y: a
a slash in the name | X/Y: a
a quote in the name | "X": a
a byte over 127 in the name | X\xff: a
a soft hyphen in Content-Length | Content\xc2\xad-Length: 5
a NUL in the value | X: a\0b
SOH in the value | X: a\x01b
ESC in the value | X: a\x1b[31mb
a backspace in the value | X: a\x08b
DEL in the value | X: a\x7fb
a form feed in the value | X: a\x0cb
"#;
    assert_refused_unseen(&table(
        "GET / HTTP/1.1\r\nHost: a\r\n",
        text,
        "\r\n\r\n",
        &[400],
    ));
}

#[test]
fn request_lines() {
    let text = r"
two spaces before the target | GET  / HTTP/1.1
two spaces after the target | GET /  HTTP/1.1
a leading space | \sGET / HTTP/1.1
a trailing space | GET / HTTP/1.1\s
tabs for spaces | GET\t/\tHTTP/1.1
no target | GET HTTP/1.1
only a method | GET
a space in the target | GET /a b HTTP/1.1
a control byte in the target | GET /\x01 HTTP/1.1
a NUL in the target | GET /\0 HTTP/1.1
DEL in the target | GET /\x7f HTTP/1.1
a bracket in the method | G(T / HTTP/1.1
a colon in the method | GET: / HTTP/1.1
no method | \s/ HTTP/1.1
a relative target | GET index.html HTTP/1.1
an asterisk that is not for OPTIONS | GET * HTTP/1.1
an authority as the target | GET a:80 HTTP/1.1
a word after the version | GET / HTTP/1.1 x
HTTP in small letters | GET / http/1.1
a version without a point | GET / HTTP/11
a version with two points | GET / HTTP/1.1.1
a version with a leading zero | GET / HTTP/01.1
a version with two digits | GET / HTTP/1.10
a version with a sign | GET / HTTP/+1.1
another protocol | GET / HTTPS/1.1
";
    assert_refused_unseen(&table("", text, "\r\nHost: a\r\n\r\n", &[400]));
}

#[test]
fn versions_and_protocols() {
    let others = r"
HTTP/0.9 | GET /\r\n
HTTP/0.9 in full | GET / HTTP/0.9\r\nHost: a\r\n\r\n
HTTP/1.2 without Host | GET / HTTP/1.2\r\n\r\n
HTTP/1.2 with a fold | GET / HTTP/1.2\r\nHost: a\r\n b\r\n\r\n
HTTP/1.2 with two lengths | POST / HTTP/1.2\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n
HTTP/2.0 | GET / HTTP/2.0\r\nHost: a\r\n\r\n
HTTP/3 | GET / HTTP/3\r\nHost: a\r\n\r\n
HTTP/9.9 | GET / HTTP/9.9\r\nHost: a\r\n\r\n
the preface of HTTP/2 | PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n
the preface of HTTP/2 after an empty line | \r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0
a byte order mark | \xef\xbb\xbfGET / HTTP/1.1\r\nHost: a\r\n\r\n
a TLS ClientHello | \x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n
the PROXY protocol | PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n
SMTP | EHLO a\r\n\r\n
a response | HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n
zeros | \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0
";
    let others = table("", others, "", &[400, 505]);
    let connects = r"
CONNECT | CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n
CONNECT to a path | CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n
";
    let connects = table("", connects, "", &[400, 405, 501]);
    assert_refused_unseen(&[others, connects].concat());
}

#[test]
fn host() {
    let others = r"
missing | GET / HTTP/1.1\r\nX: y\r\n\r\n
twice, equal | GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n
twice, different | GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n
missing, absolute target | GET http://a/ HTTP/1.1\r\n\r\n
";
    let others = table("", others, "", &[400]);
    let values = r#"
empty |
only a port | :80
a scheme | http://a
a space | a b
a comma | a,b
a path | a/b
a user | user@a
a query | a?b
a fragment | a#b
a backslash | a\\b
a quote | a"b
an angle bracket | <a>
a port of letters | a:b
two ports | a:1:2
a negative port | a:-1
a port of six digits | a:100000
an address that is none | [a]
something after the bracket | [::1]a
a bracket left open | [::1
a NUL | a\0b
"#;
    let values = table("GET / HTTP/1.1\r\nHost: ", values, "\r\n\r\n", &[400]);
    assert_refused_unseen(&[others, values].concat());
}

/// Forms of the target other than a path (RFC 9112 §3.2.2 to §3.2.4).
#[test]
fn targets() {
    let forms = r"
another scheme | GET ftp://a/
no scheme | GET ://a/
a scheme and one slash | GET http:/a
a scheme and no slash | GET http:a
only a scheme | GET http://
no host | GET http://:80/
a user | GET http://a@b/
an empty user | GET http://@b/
a backslash in the authority | GET http://a\\@b/
a comma in the authority | GET http://a,b/
a percent sign alone as the host | GET http://a%2fb:c/
a port of letters | GET http://a:b/
an open bracket | GET http://[::1/
a fragment | GET /a#b
a fragment in the absolute form | GET http://a/#b
an authority | POST a:80
an address | GET [::1]:80
an asterisk and more | OPTIONS */
an asterisk | POST *
a query alone | GET ?a
a backslash alone | GET \\a
a dot | GET ./a
percent-encoded slash alone | GET %2fa
";
    let forms = table("", forms, " HTTP/1.1\r\nHost: a\r\n\r\n", &[400]);
    // However well the target names its host, Host has to be there, once, and be one.
    let hosts = r"
no Host | GET http://a/ HTTP/1.1\r\n\r\n
Host twice | GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n
an empty Host | GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n
a Host that is none | GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n
on HTTP/1.0: Host twice | GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n
on HTTP/1.0: an empty Host | GET / HTTP/1.0\r\nHost:\r\n\r\n
";
    let hosts = table("", hosts, "", &[400]);
    assert_refused_unseen(&[forms, hosts].concat());
}
