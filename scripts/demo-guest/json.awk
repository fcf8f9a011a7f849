# Flattens one JSON document to lines "path<TAB>value", as in "public_keys/demo-key<TAB>ssh-ed25519 ...".
# Control characters in values become spaces, so that a value never makes a second line.
function fail(what) {
    print "json: " what > "/dev/stderr"
    exit 1
}
function blank() { sub(/^[ \t\r\n]+/, "", text) }
function string(    raw, out, at, c, code) {
    if (!match(text, /^"([^"\\]|\\.)*"/)) fail("string expected")
    raw = substr(text, 2, RLENGTH - 2)
    text = substr(text, RLENGTH + 1)
    out = ""
    while ((at = index(raw, "\\")) > 0) {
        out = out substr(raw, 1, at - 1)
        c = substr(raw, at + 1, 1)
        raw = substr(raw, at + 2)
        if (c == "u") {
            code = hex(substr(raw, 1, 4))
            raw = substr(raw, 5)
            out = out ((code >= 32 && code < 127) ? sprintf("%c", code) : "?")
        } else if (c == "n" || c == "t" || c == "r" || c == "b" || c == "f") {
            out = out " "
        } else {
            out = out c
        }
    }
    return out raw
}
function hex(digits,    i, n) {
    n = 0
    for (i = 1; i <= length(digits); i++) n = n * 16 + index("123456789abcdef", tolower(substr(digits, i, 1)))
    return n
}
function value(path, depth,    n, key) {
    if (depth > 16) fail("nested too deeply")
    blank()
    if (text ~ /^\{/) {
        text = substr(text, 2)
        blank()
        if (text ~ /^\}/) { text = substr(text, 2); return }
        for (;;) {
            blank()
            key = string()
            blank()
            if (text !~ /^:/) fail("':' expected")
            text = substr(text, 2)
            value(path == "" ? key : path "/" key, depth + 1)
            blank()
            if (text ~ /^,/) { text = substr(text, 2); continue }
            if (text ~ /^\}/) { text = substr(text, 2); return }
            fail("',' or '}' expected")
        }
    }
    if (text ~ /^\[/) {
        text = substr(text, 2)
        blank()
        if (text ~ /^\]/) { text = substr(text, 2); return }
        for (n = 0;; n++) {
            value(path "/" n, depth + 1)
            blank()
            if (text ~ /^,/) { text = substr(text, 2); continue }
            if (text ~ /^\]/) { text = substr(text, 2); return }
            fail("',' or ']' expected")
        }
    }
    if (text ~ /^"/) { print path "\t" string(); return }
    if (!match(text, /^[-+.0-9A-Za-z]+/)) fail("value expected")
    print path "\t" substr(text, 1, RLENGTH)
    text = substr(text, RLENGTH + 1)
}
{ text = text $0 " " }
END { value("", 0) }
