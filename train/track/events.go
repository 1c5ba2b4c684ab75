package track

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// eventWriter writes TensorBoard's event file: TFRecords of serialized
// tensorboard.Event messages. Field numbers are those of event.proto and
// summary.proto of TensorBoard 2.
type eventWriter struct{ f *os.File }

// createEvents starts a new file in dir, as every session has its own, and
// tells readers to drop what earlier files have behind step.
func createEvents(dir string, step int, now time.Time) (*eventWriter, error) {
	path := filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%d.oreo.%d.%d", now.Unix(), os.Getpid(), now.Nanosecond()))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	w := &eventWriter{f}
	version := protowire.AppendTag(nil, 3, protowire.BytesType) // Event.file_version
	version = protowire.AppendString(version, "brain.Event:2")
	const start = 1                                              // SessionLog.START
	session := protowire.AppendTag(nil, 1, protowire.VarintType) // SessionLog.status
	session = protowire.AppendVarint(session, start)
	restart := protowire.AppendTag(nil, 7, protowire.BytesType) // Event.session_log
	restart = protowire.AppendBytes(restart, session)
	if err := w.write(event(now, 0, version)); err != nil {
		return nil, err
	}
	return w, w.write(event(now, step+1, restart))
}

// write appends one TFRecord: length, its checksum, data, its checksum.
func (w *eventWriter) write(data []byte) error {
	rec := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	rec = binary.LittleEndian.AppendUint32(rec, maskedCRC(rec))
	rec = append(rec, data...)
	rec = binary.LittleEndian.AppendUint32(rec, maskedCRC(data))
	_, err := w.f.Write(rec)
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is CRC-32C rotated and offset, so that a checksum of data that
// holds checksums stays a good one (TensorFlow, lib/hash/crc32c.h).
func maskedCRC(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}

// event serializes an Event of the given content, a field with its tag.
func event(at time.Time, step int, content []byte) []byte {
	b := protowire.AppendTag(nil, 1, protowire.Fixed64Type) // wall_time, seconds
	b = protowire.AppendFixed64(b, math.Float64bits(float64(at.UnixMicro())/1e6))
	if step != 0 {
		b = protowire.AppendTag(b, 2, protowire.VarintType) // step
		b = protowire.AppendVarint(b, uint64(step))
	}
	return append(b, content...)
}

// scalars serializes Event.summary with a simple_value for each name.
func scalars(names []string, m Metrics) []byte {
	var summary []byte
	for _, name := range names {
		value := protowire.AppendTag(nil, 1, protowire.BytesType) // tag
		value = protowire.AppendString(value, name)
		value = protowire.AppendTag(value, 2, protowire.Fixed32Type) // simple_value
		value = protowire.AppendFixed32(value, math.Float32bits(float32(m[name])))
		summary = protowire.AppendTag(summary, 1, protowire.BytesType) // Summary.value
		summary = protowire.AppendBytes(summary, value)
	}
	b := protowire.AppendTag(nil, 5, protowire.BytesType)
	return protowire.AppendBytes(b, summary)
}
