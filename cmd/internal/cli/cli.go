// Package cli is what the commands have in common: one way from main to an
// exit code, signals that cancel a context, errors printed once, and progress.
package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"
)

// Exit codes of every command.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2 // wrong flags, arguments or configuration
)

// Main runs app on the process's arguments and exits. SIGINT and SIGTERM cancel
// the context that actions see as c.Context, so that a command can save what it
// has; a second signal ends the process at once. What the action returns is
// printed to stderr in one place, here, after "NAME: ".
func Main(app *urfave.App) {
	ctx, stop := signalContext(app.Name)
	code := run(ctx, app, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Usage marks err as the caller's mistake: exit code 2 and a pointer to --help.
// Usage(nil) is nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

// Usagef is Usage(fmt.Errorf(format, args...)).
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// NoArgs is a Before for commands that take flags only: a stray argument, and
// the flags after it that would be passed over, is an error.
func NoArgs(c *urfave.Context) error {
	if c.Args().Present() {
		return Usagef("unexpected argument %q", c.Args().First())
	}
	return nil
}

// version is set by the Makefile: -ldflags "-X …/cmd/internal/cli.version=v1.2.3".
var version string

// Version says what was built and with what; libraries are further items such
// as "libtorch 2.11.0".
func Version(libraries ...string) string {
	v := version
	if info, ok := debug.ReadBuildInfo(); v == "" && ok {
		v = info.Main.Version
	}
	if v == "" {
		v = "(devel)"
	}
	items := append([]string{runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}, libraries...)
	return v + " (" + strings.Join(items, ", ") + ")"
}

type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

var errNoCommand = errors.New("no command given")

// run is Main without the process around it.
func run(ctx context.Context, app *urfave.App, args []string, stdout, stderr io.Writer) (code int) {
	defer func() { // Go's own exit code for a panic is 2, which here means wrong use
		if p := recover(); p != nil {
			fmt.Fprintf(stderr, "%s: internal error, please report it: %v\n%s", app.Name, p, debug.Stack())
			code = ExitFailed
		}
	}()
	// Help goes to stdout when asked for. urfave also prints it before some
	// errors, where it would bury the message and dirty the output: hold it back.
	var help bytes.Buffer
	printer := urfave.HelpPrinter
	urfave.HelpPrinter = func(_ io.Writer, template string, data any) { printer(&help, template, data) }
	defer func() { urfave.HelpPrinter = printer }()

	app.Writer, app.ErrWriter = stdout, stderr
	app.ExitErrHandler = func(*urfave.Context, error) {} // errors are printed below
	app.DisableSliceFlagSeparator = true                 // --set list=[a,b] is one value
	app.HideHelpCommand = true
	app.EnableBashCompletion = true
	app.OnUsageError = onUsageError
	if app.Action == nil {
		app.Action = chooseCommand
	}
	prepare(app.Commands)

	err := app.RunContext(ctx, args)
	switch {
	case err == nil:
		stdout.Write(help.Bytes())
		return ExitDone
	case errors.Is(err, errNoCommand):
		stderr.Write(help.Bytes())
		return ExitUsage
	}
	if strings.HasPrefix(err.Error(), "Required flag") { // urfave's type for it is not exported
		err = &usageError{err}
	}
	fmt.Fprintf(stderr, "%s: %s\n", app.Name, message(err))
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(stderr, "see %s --help\n", commandPath(app, args))
		return ExitUsage
	}
	return ExitFailed
}

// prepare sets on every command what urfave does not inherit.
func prepare(commands []*urfave.Command) {
	for _, c := range commands {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		if len(c.Subcommands) > 0 && c.Action == nil {
			c.Action = chooseCommand
		}
		prepare(c.Subcommands)
	}
}

func onUsageError(_ *urfave.Context, err error, _ bool) error { return Usage(err) }

// chooseCommand is the action of a group of commands: reached when none of
// them was named.
func chooseCommand(c *urfave.Context) error {
	group := c.App.Commands
	if len(c.Command.Subcommands) > 0 {
		group = c.Command.Subcommands
	}
	if !c.Args().Present() {
		if err := urfave.ShowSubcommandHelp(c); err != nil {
			return err
		}
		return errNoCommand
	}
	name := c.Args().First()
	var names []string
	for _, cmd := range group {
		if !cmd.Hidden {
			names = append(names, cmd.Name)
		}
	}
	if near := Nearest(name, names); near != "" {
		return Usagef("unknown command %q; did you mean %q?", name, near)
	}
	return Usagef("unknown command %q; there are %s", name, strings.Join(names, ", "))
}

// commandPath is the part of args that names the command: "oreo-run alfworld step".
func commandPath(app *urfave.App, args []string) string {
	path, commands := app.Name, app.Commands
	for _, a := range args[min(1, len(args)):] {
		i := 0
		for i < len(commands) && !commands[i].HasName(a) {
			i++
		}
		if i == len(commands) {
			break
		}
		path, commands = path+" "+a, commands[i].Subcommands
	}
	return path
}

// message is err in the house style: lower case, and a cancelled context called
// what the user did.
func message(err error) string {
	text := lowerFirst(err.Error())
	if errors.Is(err, context.Canceled) {
		text = strings.Replace(text, context.Canceled.Error(), "interrupted", 1)
	}
	return text
}

// lowerFirst lowers the first letter unless the word is all capitals.
func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	next, _ := utf8.DecodeRuneInString(s[n:])
	if unicode.IsUpper(next) {
		return s
	}
	return string(unicode.ToLower(r)) + s[n:]
}

// signalContext is cancelled by the first SIGINT or SIGTERM; the second ends
// the process.
func signalContext(name string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		fmt.Fprintf(os.Stderr, "\n%s: %v: stopping; once more to stop at once\n", name, s)
		cancel()
		<-signals
		os.Exit(ExitFailed)
	}()
	return ctx, cancel
}
