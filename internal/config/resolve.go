package config

import (
	"errors"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
)

const (
	// prefix is how the names of our environment variables start.
	prefix = "FOVEA_"
	// fileFlag is the flag that names the file.
	fileFlag = "config"
)

// serviceLink matches what Kubernetes sets in each pod for a Service whose name
// begins with fovea: these are not ours.
var serviceLink = regexp.MustCompile(
	`^FOVEA_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// Sources says of each flag that was given where that was: --history,
// FOVEA_HISTORY or fovea.yaml:3: history.
type Sources map[string]string

// Resolve sets the flags that the command line left out from the environment,
// as of os.Environ, and from the file that the flag config names. Flags must be
// parsed already. Its error joins one [Error] for each mistake.
func Resolve(flags *pflag.FlagSet, environ []string) (Sources, error) {
	r := resolver{flags: flags, sources: Sources{}}
	flags.Visit(func(f *pflag.Flag) { r.sources[f.Name] = "--" + f.Name })
	r.environment(environ)
	if path := flags.Lookup(fileFlag).Value.String(); path != "" {
		r.file(path)
	}
	return r.sources, errors.Join(r.errs...)
}

type resolver struct {
	flags   *pflag.FlagSet
	sources Sources
	errs    []error
}

// set gives flag f a value, unless a better source already did.
func (r *resolver) set(f *pflag.Flag, source, text string) {
	if _, given := r.sources[f.Name]; given {
		return
	}
	r.sources[f.Name] = source
	if err := f.Value.Set(text); err != nil {
		r.errs = append(r.errs, &Error{Source: source, Value: text, Want: err.Error()})
	}
}

func (r *resolver) environment(environ []string) {
	names := map[string]*pflag.Flag{}
	for _, f := range settings(r.flags) {
		names[variable(f.Name)] = f
	}
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if f, ok := names[name]; ok {
			r.set(f, name, text)
		} else if !serviceLink.MatchString(name) {
			r.errs = append(r.errs, unknown(name, "", name, names))
		}
	}
}

// variable returns the environment variable of a flag.
func variable(flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// settings are the flags that may be given in the environment.
func settings(flags *pflag.FlagSet) (list []*pflag.Flag) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			list = append(list, f)
		}
	})
	return list
}
