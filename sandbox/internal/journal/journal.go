// Package journal keeps an append-only file of records: the only thing the sandbox trusts after a crash.
//
// One record is one line: the CRC-32C of the record in eight hex digits, a space, the record, a line feed. Lines are
// written and synced to the disk in groups, so many writers share one fsync. A torn last line, what a crash in the
// middle of a write leaves, was never acknowledged and is cut off at the next start; a broken line anywhere else is
// damage that a person must look at, and stops the start.
package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// ErrInUse says that another process holds the journal.
var ErrInUse = errors.New("journal is in use by another process")

// ErrClosed says that the journal was closed before the record was on the disk.
var ErrClosed = errors.New("journal is closed")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Journal is an open journal. Its methods may be called by many goroutines.
type Journal struct {
	file *os.File

	mu       sync.Mutex
	synced   *sync.Cond // durable or failed moved
	pending  []byte     // lines appended and not yet written
	appended int64      // records appended since the start
	durable  int64      // records known to be on the disk
	failed   error      // the first write error; nothing is acknowledged after it
	closing  bool

	wake    chan struct{} // something is pending
	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed by the writer when it is done
}

// Open opens or creates the journal at path, hands each record in it to replay in order, and starts the writer.
// An error of replay stops the start and is returned with the record's line number.
func Open(path string, replay func(record []byte) error) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := prepare(file, replay); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	j := &Journal{file: file, wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	j.synced = sync.NewCond(&j.mu)
	go j.write()
	return j, nil
}

func prepare(file *os.File, replay func([]byte) error) error {
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%s: %w", file.Name(), ErrInUse)
		}
		return fmt.Errorf("lock journal: %w", err)
	}
	good, err := read(file, replay)
	if err != nil {
		return err
	}
	if err := file.Truncate(good); err != nil {
		return fmt.Errorf("cut torn line: %w", err)
	}
	if _, err := file.Seek(good, io.SeekStart); err != nil {
		return fmt.Errorf("seek: %w", err)
	}
	// The file's own name must survive a power cut too.
	return syncFolder(filepath.Dir(file.Name()))
}

// read replays the file and returns the length of its sound part.
func read(file *os.File, replay func([]byte) error) (int64, error) {
	r := bufio.NewReaderSize(file, 1<<20)
	var good int64
	for number := 1; ; number++ {
		line, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("read journal: %w", err)
		}
		if len(line) == 0 {
			return good, nil
		}
		record, ok := decode(line)
		if !ok {
			if _, err := r.Peek(1); errors.Is(err, io.EOF) {
				return good, nil
			}
			return 0, fmt.Errorf("%s: line %d is damaged and is not the last one", file.Name(), number)
		}
		if err := replay(record); err != nil {
			return 0, fmt.Errorf("%s: line %d: %w", file.Name(), number, err)
		}
		good += int64(len(line))
	}
}

const sumLength = 8 // hex digits

func encode(to, record []byte) []byte {
	to = fmt.Appendf(to, "%08x ", crc32.Checksum(record, castagnoli))
	to = append(to, record...)
	return append(to, '\n')
}

func decode(line []byte) ([]byte, bool) {
	body, whole := bytes.CutSuffix(line, []byte{'\n'})
	if !whole || len(body) < sumLength+1 || body[sumLength] != ' ' {
		return nil, false
	}
	sum, err := strconv.ParseUint(string(body[:sumLength]), 16, 32)
	record := body[sumLength+1:]
	return record, err == nil && uint32(sum) == crc32.Checksum(record, castagnoli)
}

// Append puts the record, which must hold no line feed, at the end and returns its position. The record is not yet on
// the disk: whoever tells anybody about it calls Wait first.
func (j *Journal) Append(record []byte) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending = encode(j.pending, record)
	j.appended++
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return j.appended
}

// Position is the position of the last appended record.
func (j *Journal) Position() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.appended
}

// Wait returns when the record at the position, and all before it, are on the disk.
func (j *Journal) Wait(position int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.durable < position && j.failed == nil {
		j.synced.Wait()
	}
	if j.durable < position {
		return j.failed
	}
	return nil
}

// Close writes what is pending and releases the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closing {
		j.mu.Unlock()
		<-j.stopped
		return nil
	}
	j.closing = true
	close(j.stop)
	j.mu.Unlock()
	<-j.stopped
	// A process being started at this moment may hold a copy of the descriptor: unlocking frees the file in spite of it.
	return errors.Join(syscall.Flock(int(j.file.Fd()), syscall.LOCK_UN), j.file.Close())
}

func (j *Journal) write() {
	defer close(j.stopped)
	for open := true; open; {
		select {
		case <-j.wake:
		case <-j.stop:
			open = false
		}
		j.flush()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		j.failed = ErrClosed
	}
	j.synced.Broadcast()
}

func (j *Journal) flush() {
	j.mu.Lock()
	lines, position, failed := j.pending, j.appended, j.failed
	j.pending = nil
	j.mu.Unlock()
	if len(lines) == 0 || failed != nil {
		return
	}
	_, err := j.file.Write(lines)
	if err == nil {
		err = j.file.Sync()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.failed = fmt.Errorf("write journal: %w", err)
	} else {
		j.durable = position
	}
	j.synced.Broadcast()
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}
