package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(cmd.OutOrStdout(), "irgdata %s, %s %s/%s\n", version(), goruntime.Version(), goruntime.GOOS, goruntime.GOARCH)
			return nil
		},
	}
}

// version is that of the module, or the commit of a build in a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	if v := info.Main.Version; v != "" {
		return v
	}
	return "(devel)"
}

// codeIdentity tells programs apart that could make other rows of the same
// pairs: by the version, or by the program's bytes where that does not tell the
// code, as of a build outside of a checkout or with changes that are in no commit.
func codeIdentity() string {
	v := version()
	if !strings.HasPrefix(v, "(") && !strings.HasSuffix(v, "+dirty") {
		return v
	}
	sum := sha256.New()
	path, err := os.Executable()
	if err == nil {
		var file *os.File
		if file, err = os.Open(path); err == nil {
			defer file.Close()
			_, err = io.Copy(sum, file)
		}
	}
	if err != nil { // it was replaced meanwhile: it is like no other
		return fmt.Sprintf("%s %d", v, time.Now().UnixNano())
	}
	return fmt.Sprintf("%s %x", v, sum.Sum(nil))
}
