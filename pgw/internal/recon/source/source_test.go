package source_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/source"
	"github.com/mpac-cloud/mpac/platform/clock"
)

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{
		"transaction_1_20261121000000_20261121115959_v2.csv", "transaction_1_20261121000000_20261121235959_v2.csv",
		"transaction_2_20261121000000_20261121235959_v2.csv", "transaction_1_20261122000000_20261122235959_v2.csv",
		"transaction_3_20261121000000_20261120000000_v2.csv", "preauth_transaction_1_20261121000000_20261121235959_v2.csv", "notes.txt",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "transaction_4_20261121000000_20261121235959_v2.csv"), 0o700); err != nil {
		t.Fatal(err)
	}
	now := clock.System(48 * time.Hour)
	found, err := source.Folder(dir, "2026-11-21", "", now)
	if err != nil || len(found.Files) != 2 || len(found.Notes) != 2 {
		t.Fatalf("%+v %v", found, err)
	}
	first := found.Files[0]
	if first.Info.Contract != "1" || first.Info.Partial || found.Files[1].Info.Contract != "2" || first.Bytes != 1 {
		t.Errorf("%+v", found.Files)
	}
	// Files are dated by the platform's clock, which may be moved.
	if age := now().Sub(first.ReceivedAt); age < 0 || age > time.Minute {
		t.Errorf("age %s", age)
	}
	one, err := source.Folder(filepath.Join(dir, "transaction_1_20261121000000_20261121115959_v2.csv"), "2026-11-21", "paypay", now)
	if err != nil || len(one.Files) != 1 || !one.Files[0].Info.Partial {
		t.Errorf("%+v %v", one, err)
	}
	if none, err := source.Folder(dir, "2026-11-21", "linepay", now); err != nil || len(none.Files) != 0 {
		t.Errorf("%+v %v", none, err)
	}
	if _, err := source.Folder(filepath.Join(dir, "nowhere"), "2026-11-21", "", now); err == nil {
		t.Error("no error of a folder that is not there")
	}
}
