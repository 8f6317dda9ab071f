module github.com/irgdata/irgdata

go 1.26
