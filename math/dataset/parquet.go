package dataset

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

// parquetRecords yields the rows of a Parquet file with the columns of the
// JSON records.
func parquetRecords(path string) iter.Seq2[place, record] {
	return func(yield func(place, record) bool) {
		// The library panics on some damaged files.
		defer func() {
			if r := recover(); r != nil {
				yield(place{err: fmt.Errorf("%s: damaged Parquet file: %v", path, r)}, record{})
			}
		}()
		file, err := os.Open(path)
		if err != nil {
			yield(place{err: err}, record{})
			return
		}
		defer file.Close()
		if err := parquetRows(file, path, yield); err != nil {
			yield(place{err: fmt.Errorf("%s: %w", path, err)}, record{})
		}
	}
}

// errStop says that the consumer wants no more.
var errStop = errors.New("stop")

func parquetRows(file *os.File, path string, yield func(place, record) bool) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	table, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		return err
	}
	var columns []string
	for _, c := range table.Schema().Columns() {
		columns = append(columns, c[0])
	}
	n := 0
	for _, group := range table.RowGroups() {
		err := groupRows(group, func(row parquet.Row) error {
			n++
			r, err := rowRecord(row, columns)
			if !yield(place{path + ": row " + strconv.Itoa(n), err}, r) {
				return errStop
			}
			return err
		})
		if err != nil {
			return ignoreStop(err)
		}
	}
	return nil
}

func ignoreStop(err error) error {
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

func groupRows(group parquet.RowGroup, visit func(parquet.Row) error) error {
	rows := group.Rows()
	defer rows.Close()
	buffer := make([]parquet.Row, 64)
	for {
		n, err := rows.ReadRows(buffer)
		for _, row := range buffer[:n] {
			if err := visit(row); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// rowRecord assigns the columns by name; others are passed over.
func rowRecord(row parquet.Row, columns []string) (record, error) {
	var r record
	for _, v := range row {
		if v.IsNull() || v.Column() < 0 || v.Column() >= len(columns) {
			continue
		}
		text := func() *string { s := string(v.ByteArray()); return &s }
		if v.Kind() != parquet.ByteArray {
			if columns[v.Column()] == "level" {
				if err := r.Level.UnmarshalJSON([]byte(v.String())); err != nil {
					return r, err
				}
			}
			continue
		}
		switch columns[v.Column()] {
		case "question":
			r.Question = text()
		case "problem":
			r.Problem = text()
		case "answer":
			r.Answer = text()
		case "solution":
			r.Solution = text()
		case "type":
			r.Type = *text()
		case "subject":
			r.Subject = *text()
		case "unique_id":
			r.UniqueID = *text()
		case "level":
			if err := r.Level.UnmarshalJSON([]byte(strconv.Quote(*text()))); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}
