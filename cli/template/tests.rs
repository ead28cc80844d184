use serde_json::json;

use super::*;

fn value() -> Value {
    json!({
        "Name": "web", "Id": "0123", "Count": 3, "Part": 1.5, "On": true, "Off": false, "Nothing": null,
        "List": ["a", "b", "c"], "Empty": [], "Text": "",
        "Labels": {"one": "1", "two": "2"}, "State": {"Status": "running", "Health": {"Log": [{"Exit": 0}]}},
        "Ports": [{"Port": 80, "Kind": "tcp"}, {"Port": 53, "Kind": "udp"}],
    })
}

fn render(text: &str) -> Result<String, String> {
    let template = Template::parse(text).map_err(|failure| format!("{failure:?}"))?;
    template
        .render(&value())
        .map_err(|failure| format!("{failure:?}"))
}

const PRINTED: &[(&str, &str)] = &[
    ("", ""),
    ("plain }} text", "plain }} text"),
    ("{{.Name}}", "web"),
    ("{{ .Name }}\\t{{.Id}}\\n", "web\t0123\n"),
    ("{{\"a\\tb\\n\"}}", "a\tb\n"),
    ("{{`a\\tb`}}", "a\\tb"),
    ("a {{- .Name -}} b", "awebb"),
    ("a{{/* nothing */}}b {{- /* none */ -}} c", "abc"),
    (
        "{{.Count}} {{.Part}} {{.On}} {{.Nothing}}",
        "3 1.5 true <no value>",
    ),
    (
        "{{.List}} {{.Labels}} {{.Empty}}",
        "[a b c] map[one:1 two:2] []",
    ),
    ("{{.State.Status}}", "running"),
    ("{{(index .State.Health.Log 0).Exit}}", "0"),
    ("{{$.Name}}", "web"),
    ("{{json .List}}", "[\"a\",\"b\",\"c\"]"),
    ("{{.Name | json}}", "\"web\""),
    ("{{.Name | printf \"%s-%s\" \"x\" | upper}}", "X-WEB"),
    ("{{range .List}}<{{.}}>{{end}}", "<a><b><c>"),
    ("{{range .Empty}}x{{else}}none{{end}}", "none"),
    (
        "{{range $i, $v := .List}}{{$i}}={{$v}} {{end}}",
        "0=a 1=b 2=c ",
    ),
    (
        "{{range $v := .List}}{{$v}}{{$.Name}}{{end}}",
        "awebbwebcweb",
    ),
    (
        "{{range $k, $v := .Labels}}{{$k}}:{{$v}};{{end}}",
        "one:1;two:2;",
    ),
    (
        "{{range .Ports}}{{.Port}}/{{.Kind}} {{end}}",
        "80/tcp 53/udp ",
    ),
    ("{{if .On}}yes{{else}}no{{end}}", "yes"),
    (
        "{{if .Off}}a{{else if .Text}}b{{else if .On}}c{{else}}d{{end}}",
        "c",
    ),
    (
        "{{with .State}}{{.Status}}{{end}}{{with .Text}}x{{else}}{{.Name}}{{end}}",
        "runningweb",
    ),
    ("{{with $s := .State}}{{$s.Status}}{{end}}", "running"),
    ("{{$x := .Count}}{{if $x}}{{$x}}{{end}}", "3"),
    (
        "{{if eq .Name \"web\"}}1{{end}}{{if ne .Count 3}}2{{end}}{{if eq .Count 1 2 3}}3{{end}}",
        "13",
    ),
    (
        "{{eq .Count 3.0}} {{lt 1 2}} {{ge .Name \"x\"}}",
        "true true false",
    ),
    (
        "{{and .On .Name}} {{or .Off .Text \"last\"}} {{not .On}}",
        "web last false",
    ),
    ("{{and .Off .Missing}} {{or .On .Missing}}", "false true"),
    (
        "{{len .List}} {{len .Name}} {{len .Labels}} {{len .Nothing}}",
        "3 3 2 0",
    ),
    (
        "{{index .List 1}} {{index .Labels \"two\"}}[{{index .Labels \"none\"}}]",
        "b 2[]",
    ),
    (
        "{{index .Ports 0 \"Kind\"}} {{index .State \"none\"}}",
        "tcp <no value>",
    ),
    (
        "{{join .List \", \"}} {{split \"a,b\" \",\"}} {{join .Nothing \",\"}}",
        "a, b, c [a b] ",
    ),
    (
        "{{upper .Name}} {{lower \"ABC\"}} {{title \"one two\"}} {{truncate .Name 2}}",
        "WEB abc One Two we",
    ),
    (
        "{{println .Name .Count}}{{print .Count 4 \"x\" 5}}",
        "web 3\n3 4x5",
    ),
    (
        "{{printf \"%d%% %5d|%-4s|%04d %v %q\" 7 8 \"a\" -9 .List \"x\\\"y\"}}",
        "7%     8|a   |-009 [a b c] \"x\\\"y\"",
    ),
    (
        "{{printf \"%.1f %t %x %.2s\" 1.25 true 255 \"abc\"}}",
        "1.2 true ff ab",
    ),
    ("{{printf \"%d %s\" \"x\"}}", "%!d(x) %!s(MISSING)"),
    ("{{printf \"a\" 1 2}}", "a%!(EXTRA 1, 2)"),
    ("{{true}} {{nil}} {{-3}} {{.5}}", "true <no value> -3 0.5"),
    ("{{(printf \"%s\" .Name) | len}}", "3"),
];

#[test]
fn templates_print_what_gos_would() {
    for (text, expected) in PRINTED {
        assert_eq!(render(text).as_deref(), Ok(*expected), "{text}");
    }
}

const WRONG: &[(&str, &str)] = &[
    (
        "{{.Nmae}}",
        "there is no field Nmae; there are Count, Empty, Id,",
    ),
    (
        "{{.State.Staus}}",
        "there is no field Staus; there are Health, Status",
    ),
    ("{{.Name.More}}", "there is no field More in web"),
    (
        "{{.Nothing.More}}",
        "there is no field More in what is not there",
    ),
    ("{{", "an action does not end: }} is missing"),
    ("{{.Name", "an action does not end: }} is missing"),
    ("{{}}", "a value is missing"),
    ("{{.Name |}}", "a value is missing"),
    ("{{| len}}", "a value is missing"),
    ("{{.Name | .Id}}", "what stands after a bar is no function"),
    (
        "{{.Name .Id}}",
        "a value is not a function and takes no arguments",
    ),
    ("{{nosuch .Name}}", "there is no function nosuch"),
    ("{{len len}}", "function len needs brackets there"),
    ("{{end}}", "there is an end without a beginning"),
    ("{{else}}", "there is an else without an if"),
    ("{{if .On}}", "the end of if is missing"),
    ("{{if .On}}{{else}}", "the end of if is missing"),
    (
        "{{range .List}}{{else if .On}}{{end}}",
        "an else of range is malformed",
    ),
    ("{{range .Name}}{{end}}", "cannot range over web"),
    ("{{$x}}", "there is no variable $x"),
    (
        "{{if .On}}{{$x := 1}}{{end}}{{$x}}",
        "there is no variable $x",
    ),
    ("{{(.Name}}", "a bracket is not closed"),
    ("{{.Name)}}", "a bracket was never opened"),
    ("{{\"x}}", "a string does not end"),
    ("{{`x}}", "a string does not end"),
    ("{{\"\\x\"}}", "a string has an unknown escape"),
    ("{{1x}}", "\"1x\" is no number"),
    ("{{#}}", "unexpected '#' in an action"),
    ("{{/* }}", "a comment does not end"),
    ("{{index .List 3}}", "index 3 of a list of 3"),
    ("{{index .List -1}}", "index -1 of a list of 3"),
    ("{{index .Name 0}}", "web has no index 0"),
    ("{{upper 3}}", "upper has arguments that it cannot use"),
    ("{{len}}", "len has arguments that it cannot use"),
    ("{{join .List}}", "join has arguments that it cannot use"),
    (
        "{{printf \"%9999d\" 1}}",
        "a width of printf is more than 1024",
    ),
    ("{{printf \"%\"}}", "a % of printf has no letter"),
];

#[test]
fn what_is_wrong_is_named() {
    for (text, why) in WRONG {
        let error = render(text).expect_err(text);
        assert!(error.contains(&why.replace('"', "\\\"")), "{text}: {error}");
    }
}

#[test]
fn work_and_depth_are_limited() {
    let deep = format!("{}.On{}", "{{if .On}}".repeat(70), "{{end}}".repeat(70));
    assert!(
        render(&deep)
            .expect_err("deep")
            .contains("more than 64 deep")
    );
    let deep = format!("{{{{{}1{}}}}}", "(".repeat(20_000), ")".repeat(20_000));
    assert!(
        render(&deep)
            .expect_err("deep")
            .contains("more than 64 deep")
    );
    let elses = format!(
        "{{{{if .Off}}}}{}{{{{end}}}}",
        "{{else if .Off}}".repeat(100)
    );
    assert!(
        render(&elses)
            .expect_err("deep")
            .contains("more than 64 deep")
    );
    assert!(
        render(&"x".repeat((64 << 10) + 1))
            .expect_err("long")
            .contains("longer than 65536 bytes")
    );
    assert_eq!(
        render(&"x".repeat(64 << 10)).expect("just so long").len(),
        64 << 10
    );
    let mut work = "x".to_owned();
    for _ in 0..20 {
        work = format!("{{{{range $.List}}}}{work}{{{{end}}}}");
    }
    assert!(
        render(&work)
            .expect_err("much work")
            .contains("more than 1000000 steps")
    );
}

/// Every text of up to a few words, most of them malformed: an answer or an error, and never a panic.
#[test]
fn no_text_is_a_panic() {
    let words = [
        "{{", "}}", "-", " ", ".", ".Name", "$", "$x", ":=", ",", "|", "(", ")", "\"", "`", "\\",
        "if", "range", "else", "end", "with", "len", "index", "printf", "%", "1", "/*", "*/", "é",
        "\n", "nil",
    ];
    let mut tried = 0u32;
    let mut seed = 1u64;
    for length in 1..=9 {
        for _ in 0..4000 {
            let mut text = "{{".to_owned();
            for _ in 0..length {
                // Numerical Recipes' generator: the same texts in every run.
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = usize::try_from(seed >> 33).unwrap_or(0) % words.len();
                text.push_str(words[at]);
            }
            let _ = render(&text);
            tried += 1;
        }
    }
    assert_eq!(tried, 36_000);
}

#[test]
fn headers_are_the_fields_in_capitals() {
    let row = json!({"ID": "1", "CreatedAt": "x", "Names": "y"});
    let above = above(&row, &[("ID", "CONTAINER ID")]);
    assert_eq!(
        above,
        json!({"ID": "CONTAINER ID", "CreatedAt": "CREATED AT", "Names": "NAMES"})
    );
}
