package oracle

import (
	"strings"
)

// selectors makes label selectors, some on labels that an endpoint has.
func (g *generator) selectors(has []string) []string {
	return g.texts(func() string {
		if chance(g.Rand, 0.05) {
			return g.noise()
		}
		var requirements []string
		for range g.IntN(2) + g.IntN(3) {
			requirements = append(requirements, g.requirement(has))
		}
		return strings.Join(requirements, g.space()+","+g.space())
	}, " ", "!", ",", "=a", "app=,=b", "app=web,", "app in web", "app in (web", "a b", "a=!b", "-a", "a-", "a=b c",
		"app > x", "a:b:c", "k8s:", ":app=web", "a/b/c=1", "A.B/c", "app in (a,,b", "app==", "app===web",
		strings.Repeat("k", 64), "app="+strings.Repeat("v", 64), "\u00a0app", "app\v", "äpp", "$host")
}

func (g *generator) requirement(has []string) string {
	key, value := g.label(has)
	values := []string{value, "web", "", "back"}[:1+g.IntN(4)]
	s := g.space
	switch g.IntN(9) {
	case 0:
		return key
	case 1:
		return "!" + s() + key
	case 2:
		return key + s() + "!=" + s() + value
	case 3:
		return key + s() + "==" + s() + value
	case 4:
		return key + " " + s() + "in" + s() + "(" + s() + strings.Join(values, s()+",") + s() + ")"
	case 5:
		return key + " notin (" + strings.Join(values, ", ") + ")"
	case 6:
		return key + s() + oneOf(g.Rand, []string{">", "<"}) + s() + oneOf(g.Rand, []string{"9", "0", "-3", "10"})
	}
	return key + s() + "=" + s() + value
}

// label is a key, with its source in any of its forms, and a value.
func (g *generator) label(has []string) (key, value string) {
	label := oneOf(g.Rand, []string{
		"k8s:app=web", "k8s:app=db", "k8s:tier=front", "k8s:tier=", "k8s:weight=10", "any:tier=back", "k8s:App=Web",
		"container:app=box", "k8s:solo", "k8s:app.kubernetes.io/name=web", "reserved:world", "reserved:host",
		"k8s:io.kubernetes.pod.namespace=shop", "k8s:nothing=1", "k8s:odd=x",
	})
	if len(has) > 0 && chance(g.Rand, 0.7) {
		label = oneOf(g.Rand, has)
	}
	source, rest, _ := strings.Cut(label, ":")
	name, value, _ := strings.Cut(rest, "=")
	switch g.IntN(6) {
	case 0, 1:
		return source + ":" + name, value
	case 2:
		return oneOf(g.Rand, []string{"any", "k8s", "container", "reserved", "unspec", "other"}) + ":" + name, value
	case 3:
		// A source with a dot in it, which upstream takes for where it ends.
		if begin, end, ok := strings.Cut(name, "."); ok {
			return source + "." + begin + ":" + end, value
		}
	}
	return name, value
}

// space is mostly none.
func (g *generator) space() string {
	return oneOf(g.Rand, []string{"", "", "", "", " ", "  ", "\t"})
}

// noise is text of the letters that selectors are made of.
func (g *generator) noise() string {
	var out strings.Builder
	for range g.IntN(9) {
		out.WriteString(oneOf(g.Rand, []string{
			"app", "web", "k8s", ":", ":", "=", "!", ",", "(", ")", "<", ">", " ", " in ", "1", ".", "/", "-", "$",
		}))
	}
	return out.String()
}
